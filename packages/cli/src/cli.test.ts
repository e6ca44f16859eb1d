import { describe, expect, test } from 'vitest'
import { COMMANDS } from './commands/index.js'
import { parseCommand } from './parse.js'
import { run } from './run.fixtures.js'

describe('help', () => {
  test.each([[[]], [['--help']], [['-h']], [['help']]])('%j gives the overview', async (argv) => {
    const { code, stdout, stderr } = await run(argv)
    expect(code).toBe(0)
    for (const { name, summary } of COMMANDS)
      expect(stdout).toMatch(new RegExp(`^  ${name} +.*${summary.slice(0, 20)}`, 'm'))
    for (const variable of ['POLYMLA_DEVICE', 'POLYMLA_BACKENDS', 'POLYMLA_DEBUG'])
      expect(stdout).toContain(variable)
    expect(stderr).toBe('')
  })

  test.each(COMMANDS.map((command) => [command.name, command] as const))(
    '%s explains itself',
    async (name, command) => {
      const { code, stdout } = await run([name, '--help'])
      expect(code).toBe(0)
      for (const option of Object.keys(command.options)) expect(stdout).toContain(`--${option}`)
      expect(stdout).toContain(`1    ${command.failure}`.replace('    ', '  '))
      expect(await run(['help', name])).toEqual({ code, stdout, stderr: '' })
    },
  )

  test.each(COMMANDS.flatMap(({ examples }) => examples.map(([line]) => [line])))(
    '%s is a legal example',
    (line) => {
      const [name, ...argv] = line.split(' > ')[0].split(' ')
      const command = COMMANDS.find((known) => known.name === name)
      expect(command).toBeDefined()
      expect(() => command && parseCommand(command, argv)).not.toThrow()
    },
  )

  test('is coloured on a terminal that wants it', async () => {
    const colour = '\u001b['
    expect((await run([], { terminal: true })).stdout).toContain(colour)
    expect((await run([], { terminal: true, env: { NO_COLOR: '1' } })).stdout).not.toContain(colour)
    expect((await run([])).stdout).not.toContain(colour)
  })

  test('--version prints the version alone', async () => {
    expect((await run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('a wrong command line', () => {
  test.each([
    [['measure'], 'COMMAND: expected a command, found "measure". There are: devices, doctor'],
    [['benhc'], 'COMMAND: expected a command, found "benhc". Did you mean bench?'],
    [['help', 'me'], 'COMMAND: expected a command, found "me"'],
    [
      ['devices', '--jsno'],
      '--jsno: expected an option of devices, found an unknown one. Did you mean --json?',
    ],
    [['verify', 'missing.safetensors'], 'FILE: expected a readable file, found ENOENT'],
    [['decode', '--case', 'x'], '--case: expected --input with it, found none'],
    [
      ['decode', '--input', 'missing', '--heads', '3'],
      '--heads: expected nothing of a generated problem beside --input',
    ],
    [['bench', '--causal'], '--causal: expected one of --batch, --query-tokens, --len, --heads too'],
    [
      ['bench', '--filter', 'nothing'],
      '--filter: expected part of a label, found "nothing". A label is: dense.bf16',
    ],
    [['conformance', '--filter', 'nothing'], '--filter: expected part of the name of a case of smoke'],
    [['decode', '--device', 'cuda:9'], 'there is no device "cuda:9"; there are: reference'],
  ])('%j exits with 2', async (argv, message) => {
    const { code, stdout, stderr } = await run(argv)
    expect(stderr).toMatch(/^error POLYMLA_\w+ /)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('    at ')
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('shows a stack when asked to', async () => {
    expect((await run(['x'], { env: { POLYMLA_DEBUG: '1' } })).stderr).toContain('    at ')
  })

  test('an unknown device in POLYMLA_DEVICE is one too', async () => {
    const { code, stderr } = await run(['decode'], { env: { POLYMLA_DEVICE: 'cuda:9' } })
    expect(code).toBe(2)
    expect(stderr).toContain('there is no device "cuda:9"')
  })
})
