import type { DeviceInfo, DevicePeaks } from '../backend/index.js'
import { DTYPES, type DType, type HostData, itemSize } from '../dtype/index.js'
import { invalidArgument, PolymlaError } from '../errors.js'
import {
  type KvLayoutOptions,
  kvLayout,
  storageDType,
  storageShape,
  storageStrides,
} from '../kv-cache/formats.js'
import { type KvCacheOptions, PagedKvCache } from '../kv-cache/paged-kv-cache.js'
import { KvStorage } from '../kv-cache/storage.js'
import { type AppendKvInput, appendKv } from '../ops/append-kv.js'
import { type CopyPagesInput, copyPages } from '../ops/copy-pages.js'
import { type MergeStatesInput, mergeStates } from '../ops/merge-states.js'
import { type SparsePrefillInput, sparsePrefill } from '../ops/sparse-prefill.js'
import { checkStorageTensor } from '../ops/tensor-args.js'
import { DecodePlan } from '../plan/decode-plan.js'
import { SparseDecodePlan } from '../plan/sparse-decode-plan.js'
import { options as known, oneOf } from '../problem/checks.js'
import {
  type DecodeOptions,
  decodeProblem,
  type Problem,
  type SparseDecodeOptions,
  sparseDecodeProblem,
} from '../problem/index.js'
import { checkProblem } from '../problem/problem.js'
import { hostBytes } from '../tensor/host-bytes.js'
import { checkShape, checkStrides, contiguousStrides, elementCount, elementSpan } from '../tensor/shape.js'
import { Tensor } from '../tensor/tensor.js'
import { filled, newTensor } from './allocate.js'
import { capture, type Graph } from './capture.js'
import type { DeviceContext } from './context.js'
import type { DeviceMemory } from './ledger.js'
import { Stream } from './stream.js'

/** Why `auto` did not take a device. */
export interface PassedOver {
  readonly id: string
  readonly reason: string
}

/**
 * An open device: memory, streams, graphs and the ops. Enqueueing calls return at once; only waiting is a promise.
 * `await using device = await selectDevice()` drains and frees everything at the end of the block.
 */
export class Device {
  readonly #context: DeviceContext
  /** The devices that `auto` passed over, best first, and why; empty for a device chosen by id. */
  readonly selection: readonly PassedOver[]
  #disposal: Promise<void> | undefined

  /** @internal Devices come from `selectDevice`. */
  constructor(context: DeviceContext, selection: readonly PassedOver[]) {
    this.#context = context
    this.selection = selection
  }

  get id(): string {
    return this.#context.id
  }

  get info(): DeviceInfo {
    return this.#context.info
  }

  get disposed(): boolean {
    return this.#context.disposed
  }

  /** True, or why this device cannot do the problem. Throws `POLYMLA_INVALID_ARGUMENT` for one that breaks a rule. */
  supports(problem: Problem): true | string {
    this.#context.assertLive()
    return this.#context.backend.supports(checkProblem(problem))
  }

  /**
   * Live bytes and handles, and the device's own figures where it has them. After disposal it still counts what was not
   * disposed before.
   */
  memory(): DeviceMemory {
    const { liveBytes, peakBytes, handles } = this.#context.ledger
    const own = this.#context.disposed ? {} : this.#context.backend.memory?.()
    return { liveBytes, peakBytes, handles: { ...handles }, ...own }
  }

  // Tensors ----------------------------------------------------------------------------------------------------------

  /** A row-major tensor of uninitialised memory. Throws `POLYMLA_OUT_OF_MEMORY`. */
  empty<D extends DType>(options: { shape: readonly number[]; dtype: D }): Tensor<D> {
    const { dtype, shape } = known('options', options, ['shape', 'dtype'])
    return newTensor(this.#context, checkDType(dtype), checkShape('shape', shape))
  }

  /** A row-major tensor of zeros. */
  zeros<D extends DType>(options: { shape: readonly number[]; dtype: D; stream?: Stream }): Tensor<D> {
    const { shape, dtype, ...onStream } = known('options', options, ['shape', 'dtype', 'stream'])
    return filled(this.empty({ shape, dtype }), (tensor) => tensor.fillBytes(0, onStream))
  }

  /**
   * A row-major tensor holding `data`: raw bits for bf16 and f16 (`Uint16Array`; `Float16Array` for f16 where the runtime
   * has it) and e4m3 (`Uint8Array`). The data is the caller's again when the call returns.
   */
  upload<D extends DType>(
    data: HostData<D>,
    options: { shape: readonly number[]; dtype: D; stream?: Stream },
  ): Tensor<D> {
    const { shape, dtype, ...onStream } = known('options', options, ['shape', 'dtype', 'stream'])
    hostBytes('data', data, checkDType(dtype), elementCount(checkShape('shape', shape)))
    return filled(this.empty({ shape, dtype }), (tensor) => tensor.write(data, onStream))
  }

  /**
   * A tensor over memory of another library on the same device, which must outlive it: keep `owner` reachable through
   * the tensor. `pointer` is a multiple of the dtype's size. Throws `POLYMLA_UNSUPPORTED` where the device cannot adopt
   * memory.
   */
  wrap<D extends DType>(options: {
    pointer: bigint
    shape: readonly number[]
    dtype: D
    strides?: readonly number[]
    owner?: unknown
  }): Tensor<D> {
    this.#context.assertLive()
    const { backend } = this.#context
    if (!backend.adopt) {
      throw new PolymlaError('POLYMLA_UNSUPPORTED', `device ${this.id} cannot adopt foreign memory`, {
        device: this.id,
        fix: 'Upload the data instead',
      })
    }
    const { pointer, dtype, owner } = known('options', options, [
      'pointer',
      'shape',
      'dtype',
      'strides',
      'owner',
    ])
    const size = itemSize(checkDType(dtype))
    if (typeof pointer !== 'bigint' || pointer <= 0n || pointer >= 2n ** 64n || pointer % BigInt(size) > 0n) {
      throw invalidArgument('pointer', `a device address, a bigint > 0 and a multiple of ${size}`, pointer)
    }
    const shape = checkShape('shape', options.shape)
    const strides = checkStrides(shape, options.strides ?? contiguousStrides(shape))
    const bytes = elementSpan(shape, strides) * size
    if (!Number.isSafeInteger(bytes)) throw invalidArgument('strides', 'less than 2^53 bytes', strides)
    const buffer = backend.adopt(pointer, bytes)
    const storage = { context: this.#context, buffer, disposed: false, owner, release() {} }
    return new Tensor(storage, dtype, shape, strides, 0, false)
  }

  // KV caches --------------------------------------------------------------------------------------------------------

  /** Storage for one layer, without an allocator: for engines that place pages themselves. Contents are undefined. */
  createKvStorage(options: KvLayoutOptions): KvStorage {
    const layout = kvLayout(options)
    const tensor = newTensor(
      this.#context,
      storageDType(layout),
      storageShape(layout),
      storageStrides(layout),
    )
    return new KvStorage(layout, tensor)
  }

  /** A tensor that already holds pages, as cache storage. Its dtype, shape and strides must be those of the layout. */
  adoptKvStorage(tensor: Tensor, options: KvLayoutOptions): KvStorage {
    const layout = kvLayout(options)
    checkStorageTensor(this.#context, 'tensor', tensor, layout)
    return new KvStorage(layout, tensor)
  }

  /** A paged KV cache: storage for every layer and one page allocator. */
  createKvCache(options: KvCacheOptions): PagedKvCache {
    return new PagedKvCache(this, options)
  }

  // Ops --------------------------------------------------------------------------------------------------------------

  /** A plan for dense decode. Throws `POLYMLA_UNSUPPORTED` with the device's reason. */
  planDecode(options: DecodeOptions): DecodePlan {
    return new DecodePlan(this.#context, decodeProblem(options))
  }

  /** A plan for sparse decode. Throws `POLYMLA_UNSUPPORTED` with the device's reason. */
  planSparseDecode(options: SparseDecodeOptions): SparseDecodePlan {
    return new SparseDecodePlan(this.#context, sparseDecodeProblem(options))
  }

  /** Sparse attention of ragged queries over unpaged keys. */
  sparsePrefill(input: SparsePrefillInput): void {
    sparsePrefill(this.#context, input)
  }

  /** Rotates, quantises and writes new tokens into a cache. */
  appendKv(input: AppendKvInput): void {
    appendKv(this.#context, input)
  }

  /** Combines partial attention results over disjoint keys. */
  mergeStates(input: MergeStatesInput): void {
    mergeStates(this.#context, input)
  }

  /** Copies whole pages within a cache. */
  copyPages(input: CopyPagesInput): void {
    copyPages(this.#context, input)
  }

  // Streams and graphs -----------------------------------------------------------------------------------------------

  /** A new queue of work, unordered with respect to all others. */
  stream(): Stream {
    this.#context.assertLive()
    this.#context.notCapturing('device.stream')
    return new Stream(this.#context, this.#context.backend.createStream(), true)
  }

  /**
   * A stream over a native one of another library on the same device (a `cudaStream_t`, say), which must outlive it.
   * Throws `POLYMLA_UNSUPPORTED` where the device cannot adopt streams.
   */
  wrapStream(pointer: bigint): Stream {
    this.#context.assertLive()
    this.#context.notCapturing('device.wrapStream')
    const { backend } = this.#context
    if (!backend.adoptStream) {
      throw new PolymlaError('POLYMLA_UNSUPPORTED', `device ${this.id} cannot adopt foreign streams`, {
        device: this.id,
        fix: 'Use device.stream() and order the two with events',
      })
    }
    if (typeof pointer !== 'bigint' || pointer < 0n) throw invalidArgument('pointer', 'a bigint ≥ 0', pointer)
    return new Stream(this.#context, backend.adoptStream(pointer), true)
  }

  /** The stream of calls that name none. */
  get defaultStream(): Stream {
    return this.#context.defaultStream
  }

  /**
   * Collects what `work` enqueues, without running it, into a graph that can be replayed. Allocation, uploads,
   * downloads and host-side plan updates cannot be captured and throw `POLYMLA_CAPTURE_ILLEGAL`.
   */
  capture(work: (stream: Stream) => void, options: { stream?: Stream } = {}): Graph {
    return capture(this.#context, work, known('options', options, ['stream']).stream)
  }

  /** Resolves when the default stream is empty. */
  synchronize(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#context.defaultStream.synchronize(options)
  }

  /**
   * Measures for some hundred milliseconds what the device can do at best: what an efficiency is a fraction of. Null where
   * the device cannot tell. Waits for the default stream; work on other streams would take its share.
   */
  async measurePeaks(): Promise<DevicePeaks | null> {
    this.#context.notCapturing('device.measurePeaks')
    await this.synchronize()
    return (await this.#context.backend.measurePeaks?.()) ?? null
  }

  /** Waits for all work, then frees everything; every handle of the device is dead afterwards. Idempotent. */
  async dispose(): Promise<void> {
    this.#context.notCapturing('device.dispose')
    this.#context.disposed = true
    this.#disposal ??= this.#context.backend.dispose()
    await this.#disposal
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }
}

function checkDType<D extends DType>(dtype: D): D {
  return oneOf('dtype', dtype, DTYPES) as D
}
