import { GoldenFile, type VerifiedCase, verifyFile } from '@polymla/conformance'
import type { Device } from '@polymla/core'
import { type Context, defineCommand } from '../command.js'
import { EXIT, usageError } from '../errors.js'
import { readNamed } from '../files.js'
import { decodeGenerated, generateProblem } from '../generated-problem.js'
import { goldenTable } from '../golden-table.js'
import { choice, integer, text, toggle, type Values } from '../options.js'
import { openDevice } from '../selection.js'

const GENERATED = {
  batch: integer('requests', 2, 0, 1 << 16),
  heads: integer('query heads', 16, 1, 1 << 16),
  len: integer('tokens per request', 1024, 0, 1 << 24),
  'query-tokens': integer('query tokens per request', 1, 1, 1 << 16),
  format: choice(['bf16', 'fp16', 'f32', 'e4m3', 'fp8-656', 'fp8-584'], 'format of the KV cache', 'bf16'),
  causal: toggle('causal mask'),
  varlen: toggle('normal lengths around --len, deviation half of it'),
  seed: integer('of all random data', 0, 0, 2 ** 32 - 1),
}

const options = {
  device: text('ID', "device to decode on, or 'auto'", 'auto'),
  input: text('FILE', 'a golden file to take the problem from, instead of generating one'),
  case: text('NAME', 'with --input: which case (default: the first)'),
  ...GENERATED,
  json: toggle('print the result and nothing else'),
}

type DecodeOptions = Values<typeof options>

export const decode = defineCommand({
  name: 'decode',
  summary: 'decode one problem and print its error, time and rate',
  about: [
    'Generates a dense decode from a seed, or takes a recorded case from a file, runs it twice and times the second',
    'run. Errors are against float64: of out as relative 2-norm, of lse the largest absolute one. Of large generated',
    'problems the first, the last and random rows of every request are checked, and requests share pages: measure with',
    'bench. auto takes a device that can do the problem.',
  ].join('\n'),
  options,
  examples: [
    ['decode', 'a small problem on the device that auto takes'],
    ['decode --device cuda:0 --batch 64 --heads 128 --len 4096 --query-tokens 2 --causal', 'a large one'],
    ['decode --format fp8-656 --len 8192', 'over a packed cache'],
    ['decode --input dense.safetensors.gz --case bf16_h128', 'one recorded case'],
  ],
  failure: 'the result is wrong, or the device cannot do the problem',
  async run(context, given) {
    const { input } = given
    const found = await (input === null
      ? decodeFromSeed(context, given)
      : decodeFromFile(context, input, given))
    if (given.json) context.printJson(found)
    else context.print(`${found.device}\n${goldenTable([found], context.style)}`)
    return found.status === 'passed' ? EXIT.ok : EXIT.failed
  },
})

type Decoded = VerifiedCase & { readonly device: string }

async function decodeFromSeed({ io, runtime }: Context, given: DecodeOptions): Promise<Decoded> {
  if (given.case !== null) throw usageError('--case', '--input with it', 'none')
  const { batch, heads, len, format, causal, varlen, seed } = given
  const generated = generateProblem(
    {
      batch,
      heads,
      keys: len,
      queryTokens: given['query-tokens'],
      format,
      mask: causal ? 'causal' : 'none',
      lengths: varlen ? 'varlen' : 'fixed',
    },
    seed,
  )
  await using device = await openDevice(runtime(), given.device, io.env, generated.problem)
  return { device: named(device), ...(await decodeGenerated(device, generated, { signal: io.signal })) }
}

async function decodeFromFile(
  { io, runtime }: Context,
  file: string,
  given: DecodeOptions,
): Promise<Decoded> {
  for (const [name, option] of Object.entries(GENERATED)) {
    if (given[name as keyof typeof GENERATED] !== option.fallback) {
      throw usageError(`--${name}`, 'nothing of a generated problem beside --input', `--${name}`)
    }
  }
  const bytes = await readNamed('--input', file)
  const { names } = new GoldenFile(bytes)
  const name = given.case ?? names[0]
  if (!names.includes(name)) {
    throw usageError('--case', `one of ${names.join(', ')}`, JSON.stringify(name))
  }
  await using device = await openDevice(runtime(), given.device, io.env)
  const { cases } = await verifyFile(device, bytes, { filter: name, signal: io.signal })
  return { device: named(device), ...(cases.find((found) => found.name === name) as VerifiedCase) }
}

const named = ({ id, info }: Device) => `${id} (${info.name})`
