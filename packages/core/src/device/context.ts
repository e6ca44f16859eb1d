import type { BackendDevice, BackendPlan, BackendStream, DeviceInfo, LaunchArgs } from '../backend/index.js'
import { invalidArgument, PolymlaError } from '../errors.js'
import type { Problem } from '../problem/index.js'
import { disposedTensor, type Tensor } from '../tensor/tensor.js'
import type { Capture } from './capture.js'
import { Ledger } from './ledger.js'
import type { Logger } from './logger.js'
import { Stream } from './stream.js'

/** What the handles of one open device share: its backend, default stream, accounting and capture state. */
export class DeviceContext {
  readonly info: DeviceInfo
  readonly backend: BackendDevice
  readonly ledger: Ledger
  readonly defaultStream: Stream
  capture: Capture | null = null
  disposed = false

  constructor(info: DeviceInfo, backend: BackendDevice, logger: Logger) {
    this.info = info
    this.backend = backend
    this.ledger = new Ledger((what) => {
      if (this.disposed) return
      logger(
        'warn',
        `${info.id}: ${what} was garbage-collected without dispose(); its memory stays allocated`,
      )
    })
    this.defaultStream = new Stream(this, backend.createStream(), false)
  }

  get id(): string {
    return this.info.id
  }

  assertLive(): void {
    if (this.disposed) {
      throw new PolymlaError('POLYMLA_DISPOSED', `device ${this.id} was used after it was disposed`, {
        device: this.id,
        fix: 'Select the device again',
      })
    }
  }

  /** The stream a call goes to: the given one, the capturing one, or the default. */
  streamFor(stream: Stream | undefined): Stream {
    if (stream === undefined) {
      this.assertLive()
      return this.capture?.stream ?? this.defaultStream
    }
    if (!(stream instanceof Stream)) throw invalidArgument('stream', `a stream of device ${this.id}`, stream)
    stream.assertUsable(this)
    return stream
  }

  /** Refuses calls that a graph cannot hold. */
  notCapturing(call: string): void {
    if (this.capture) {
      throw new PolymlaError('POLYMLA_CAPTURE_ILLEGAL', `${call}: not possible while a graph is captured`, {
        device: this.id,
        fix: 'Call it before capture() or after the graph is made',
      })
    }
  }

  /** Enqueues work that a graph may hold, naming the tensors that must still be there at its replay. */
  enqueue(
    given: Stream | undefined,
    tensors: readonly (Tensor | null)[],
    work: (stream: BackendStream) => void,
  ): void {
    const stream = this.streamFor(given)
    if (this.capture) this.capture.add(stream, tensors, work)
    else work(stream.backend)
  }

  /**
   * Launches a prepared problem. The hot path allocates nothing; a graph gets its own copy of the arguments because
   * callers reuse theirs.
   */
  launch<P extends Problem>(
    given: Stream | undefined,
    plan: BackendPlan<P>,
    args: LaunchArgs[P['op']],
    tensors: readonly (Tensor | null)[],
  ): void {
    const stream = this.streamFor(given)
    if (!this.capture) {
      plan.launch(stream.backend, args)
      return
    }
    const kept = { ...args }
    this.capture.add(stream, tensors, (target) => plan.launch(target, kept))
  }

  /** Checks that no tensor of a replay is gone. */
  assertTensors(tensors: Iterable<Tensor>): void {
    for (const tensor of tensors) if (tensor.disposed) throw disposedTensor(tensor)
  }
}
