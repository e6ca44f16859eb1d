import { type Device, isPolymlaError, PolymlaError, type Problem } from '@polymla/core'
import type { Bench } from '../cases/case.js'
import { DenseRig, denseTolerance } from '../cases/dense.js'
import { SparseRig, sparseTolerance } from '../cases/sparse-decode.js'
import { PrefillRig } from '../cases/sparse-prefill.js'
import type { Comparison } from '../compare.js'
import { Random } from '../random.js'
import { type PathTolerance, TOLERANCES } from '../tolerances.js'
import { againstFlashMla, againstFloat64 } from './against.js'
import { GoldenFile } from './golden-file.js'
import { type Recorded, type RecordedResults, readRecorded } from './recorded.js'
import { workOf } from './work.js'

/** What one recorded case shows about a device. */
export interface VerifiedCase {
  readonly name: string
  readonly op: Recorded['op']
  readonly problem: Problem
  readonly status: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was skipped; null when passed. */
  readonly message: string | null
  /** out, lse and, of a prefill, max logits against float64 arithmetic; empty when skipped. */
  readonly float64: readonly Comparison[]
  /** The same against FlashMLA's own kernels. */
  readonly flashMla: readonly Comparison[]
  /** Device time of one run, the first not counted; null when skipped. */
  readonly microseconds: number | null
  readonly gigabytesPerSecond: number | null
  readonly teraflopsPerSecond: number | null
}

export interface VerifiedFile {
  readonly device: { readonly id: string; readonly name: string; readonly arch: string }
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly cases: readonly VerifiedCase[]
}

export interface VerifyOptions {
  /** Only cases whose name contains this text. */
  readonly filter?: string
  readonly onProgress?: (found: VerifiedCase, done: number, total: number) => void
  readonly signal?: AbortSignal
}

/**
 * Runs every case of a golden file (safetensors, gzip'd or not, or a path to one) on a device. `out` must lie within
 * the bounds of `tolerances.ts` of the float64 results and within FlashMLA's own tolerances of FlashMLA's.
 *
 * @throws `POLYMLA_INVALID_ARGUMENT` when the file cannot be read, is malformed, or a case in it is inconsistent, before
 * anything runs
 */
export async function verifyFile(
  device: Device,
  file: Uint8Array | string,
  options: VerifyOptions = {},
): Promise<VerifiedFile> {
  const golden = new GoldenFile(typeof file === 'string' ? await readPath(file) : file)
  const names = golden.names.filter((name) => name.includes(options.filter ?? ''))
  const recorded = names.map((name) => readRecorded(golden.case(name)))
  const cases: VerifiedCase[] = []
  for (const [i, name] of names.entries()) {
    options.signal?.throwIfAborted()
    cases.push(await verifyCase(device, name, recorded[i], options.signal))
    options.onProgress?.(cases[i], i + 1, names.length)
  }
  const count = (status: VerifiedCase['status']) => cases.filter((found) => found.status === status).length
  const { id, name, arch } = device.info
  return {
    device: { id, name, arch },
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    cases,
  }
}

async function readPath(path: string): Promise<Uint8Array> {
  const { readFile } = await import('node:fs/promises')
  try {
    return await readFile(path)
  } catch (cause) {
    throw new PolymlaError(
      'POLYMLA_INVALID_ARGUMENT',
      `${path}: expected a readable file, found ${(cause as Error).message}`,
      {
        path,
        cause,
      },
    )
  }
}

async function verifyCase(
  device: Device,
  name: string,
  recorded: Recorded,
  signal: AbortSignal | undefined,
): Promise<VerifiedCase> {
  const about = { name, op: recorded.op, problem: recorded.inputs.problem }
  const nothing = {
    float64: [],
    flashMla: [],
    microseconds: null,
    gigabytesPerSecond: null,
    teraflopsPerSecond: null,
  }
  const owned: Disposable[] = []
  const random = new Random(0, name)
  const bench: Bench = {
    device,
    seed: 0,
    random,
    shared: (_, make) => make(random),
    budget: 0,
    signal,
    own(handle) {
      owned.push(handle)
      return handle
    },
    open: null,
    backend: null,
  }
  try {
    const answer = device.supports(recorded.inputs.problem)
    if (answer !== true) return { ...about, ...nothing, status: 'skipped', message: answer }
    const { results, microseconds } = await runTimed(bench, recorded)
    const { flops, bytes } = workOf(recorded)
    const float64 = againstFloat64(recorded.float64, results)
    const flashMla = againstFlashMla(recorded, results, toleranceOf(recorded))
    const failed = [...float64, ...flashMla].find(({ passed }) => !passed)
    return {
      ...about,
      status: failed ? 'failed' : 'passed',
      message: failed?.message ?? null,
      float64,
      flashMla,
      microseconds,
      gigabytesPerSecond: bytes / microseconds / 1e3,
      teraflopsPerSecond: flops / microseconds / 1e6,
    }
  } catch (error) {
    if (!isPolymlaError(error) || error.code === 'POLYMLA_ABORTED') throw error
    // A page id outside the cache, say: the file's fault, found by the device's own checks.
    return { ...about, ...nothing, status: 'failed', message: `${error.code}: ${error.message}` }
  } finally {
    for (const handle of owned.reverse()) handle[Symbol.dispose]()
  }
}

/** One run to warm up, and one between two events. */
async function runTimed(
  bench: Bench,
  recorded: Recorded,
): Promise<{ results: RecordedResults; microseconds: number }> {
  const rig = rigOf(bench, recorded)
  const stream = bench.device.defaultStream
  if ('update' in rig) rig.update()
  rig.run()
  const begin = bench.own(stream.record())
  rig.run()
  const end = bench.own(stream.record())
  const found = await rig.results()
  await end.done()
  const results = {
    ...recorded.float64,
    out: { bits: found.out, dtype: found.dtype },
    lse: found.lse as Float32Array,
    maxLogits: found.maxLogits ?? null,
  }
  return { results, microseconds: end.elapsedSince(begin) }
}

function rigOf(bench: Bench, recorded: Recorded): DenseRig | SparseRig | PrefillRig {
  const placement = {
    tables: 'host',
    lengthsOn: 'host',
    stridedQuery: false,
    strided: false,
    lse: true,
  } as const
  switch (recorded.op) {
    case 'decode':
      return new DenseRig(bench, recorded.inputs, placement)
    case 'sparseDecode':
      return new SparseRig(bench, recorded.inputs, placement)
    case 'sparsePrefill':
      return new PrefillRig(bench, recorded.inputs, placement)
  }
}

function toleranceOf(recorded: Recorded): PathTolerance {
  switch (recorded.op) {
    case 'decode':
      return denseTolerance(recorded.inputs)
    case 'sparseDecode':
      return sparseTolerance(recorded.inputs)
    case 'sparsePrefill':
      return TOLERANCES.sparsePrefill
  }
}
