import { PolymlaError } from '@polymla/core'
import { describe, expect, test } from 'vitest'
import { defineCommand } from './command.js'
import { byteSize, choice, integer, integers, text, toggle } from './options.js'
import { parseCommand } from './parse.js'

const command = defineCommand({
  name: 'try',
  summary: '',
  about: '',
  operands: { name: 'FILE', help: 'a file', min: 1 },
  options: {
    json: toggle(''),
    device: text('ID', '', 'auto'),
    grid: choice(['small', 'large'], '', 'small'),
    seed: integer('', 7, 0, 10),
    heads: integers('', 1, 128),
    flush: byteSize(''),
  },
  examples: [],
  failure: '',
  run: async () => 0,
})

const parse = (...argv: string[]) => parseCommand(command, argv)

function messageOf(...argv: string[]): string {
  try {
    parse(...argv)
  } catch (error) {
    expect(error).toBeInstanceOf(PolymlaError)
    return (error as PolymlaError).message
  }
  throw new Error('parsed')
}

describe('parseCommand', () => {
  test('fills in what is not given', () => {
    const { options, operands, help } = parse('a.bin', 'b.bin')
    expect(options).toEqual({ json: false, device: 'auto', grid: 'small', seed: 7, heads: null, flush: null })
    expect(operands).toEqual(['a.bin', 'b.bin'])
    expect(help).toBe(false)
  })

  test('reads every kind of option', () => {
    const { options } = parse(
      'f',
      '--json',
      '--device=x:1',
      '--grid',
      'large',
      '--seed',
      '3',
      '--heads',
      '1,16',
    )
    expect(options).toMatchObject({ json: true, device: 'x:1', grid: 'large', seed: 3, heads: [1, 16] })
  })

  test.each([
    ['0', 0],
    ['4GB', 4e9],
    ['1.5 MiB', 1.5 * 2 ** 20],
    ['12kb', 12000],
  ])('reads the size %s', (given, bytes) => {
    expect(parse('f', '--flush', given).options.flush).toBe(bytes)
  })

  test('needs no operand for help', () => {
    expect(parse('-h').help).toBe(true)
    expect(parse('--help').help).toBe(true)
  })

  test.each([
    [
      ['f', '--devise', 'x'],
      '--devise: expected an option of try, found an unknown one. Did you mean --device?',
    ],
    [
      ['f', '--quiet'],
      '--quiet: expected an option of try, found an unknown one. There are: --json, --device,',
    ],
    [['f', '--toString'], '--toString: expected an option of try'],
    [['f', '--json=1'], '--json: expected no value, found "1"'],
    [['f', '--device'], '--device: expected a value (ID), found none'],
    [['f', '--device', '--json'], '--device: expected a value (ID), found none'],
    [['f', '--grid', 'medium'], '--grid: expected one of small, large, found "medium"'],
    [['f', '--seed', '11'], '--seed: expected an integer in [0, 10], found "11"'],
    [['f', '--seed', '-1'], '--seed: expected an integer in [0, 10], found "-1"'],
    [['f', '--seed', '1e1'], '--seed: expected an integer in [0, 10], found "1e1"'],
    [['f', '--heads', '1,,2'], '--heads: expected an integer in [1, 128], found ""'],
    [['f', '--flush', '1XB'], '--flush: expected a size such as 4GB, 256MiB or 0, found "1XB"'],
    [['f', '--flush', 'GB'], '--flush: expected a size such as 4GB, 256MiB or 0, found "GB"'],
    [[], "FILE: expected a file, found none. Try 'polymla help try'"],
  ])('refuses %j', (argv, message) => {
    expect(messageOf(...argv)).toContain(message)
  })

  test('refuses operands of a command without any', () => {
    const { operands: _, ...plain } = command
    expect(() => parseCommand(plain, ['extra'])).toThrow(
      'expected none, as try takes only options, found "extra"',
    )
  })
})
