import type { BackendBuffer, BackendEvent, BackendGraph, BackendStream } from '@polymla/core'

type Task = () => void | Promise<void>

/**
 * A stream that hands its work to another backend's stream one task at a time, so that a task may look at device
 * memory, on the host, before and after what it launches.
 */
export class SerialStream implements BackendStream {
  readonly inner: BackendStream
  /** Uploads happen when they are called, whatever is queued before them: a bug to inject. */
  readonly #eager: BackendStream | null
  readonly #ignoreWaits: boolean
  #queue: Promise<void> = Promise.resolve()
  #capture: ((on: SerialStream) => void)[] | null = null

  constructor(
    inner: BackendStream,
    bugs: { eager?: BackendStream | undefined; ignoreWaits?: boolean | undefined },
  ) {
    this.inner = inner
    this.#eager = bugs.eager ?? null
    this.#ignoreWaits = bugs.ignoreWaits ?? false
  }

  /** Everything enqueued so far; rejects with the first failure, for good. */
  get queue(): Promise<void> {
    return this.#queue
  }

  /** Runs a task in its turn. */
  enqueue(task: Task): void {
    this.#queue = this.#queue.then(task)
    // Failures are told by events.
    this.#queue.catch(() => {})
  }

  /** As {@link enqueue}, for work that a graph may hold. */
  launch(task: (on: SerialStream) => void | Promise<void>): void {
    if (this.#capture) this.#capture.push((on) => on.enqueue(() => task(on)))
    else this.enqueue(() => task(this))
  }

  upload(target: BackendBuffer, targetOffset: number, source: Uint8Array): void {
    const kept = source.slice()
    if (this.#eager) this.#eager.upload(target, targetOffset, kept)
    else this.enqueue(() => this.inner.upload(target, targetOffset, kept))
  }

  download(source: BackendBuffer, sourceOffset: number, target: Uint8Array): void {
    this.enqueue(() => this.inner.download(source, sourceOffset, target))
  }

  fill(target: BackendBuffer, targetOffset: number, bytes: number, value: number): void {
    this.launch((on) => on.inner.fill(target, targetOffset, bytes, value))
  }

  copy(
    source: BackendBuffer,
    sourceOffset: number,
    target: BackendBuffer,
    targetOffset: number,
    bytes: number,
  ): void {
    this.launch((on) => on.inner.copy(source, sourceOffset, target, targetOffset, bytes))
  }

  record(): SerialEvent {
    return new SerialEvent(this)
  }

  wait(event: BackendEvent): void {
    if (this.#ignoreWaits) return
    const { reached } = event as SerialEvent
    this.enqueue(async () => this.inner.wait(await reached))
  }

  beginCapture(): void {
    this.#capture = []
  }

  endCapture(): BackendGraph {
    const tasks = this.#capture ?? []
    this.#capture = null
    return {
      launch: (stream) => {
        for (const task of tasks) task(stream as SerialStream)
      },
      dispose() {},
    }
  }

  dispose(): void {
    this.enqueue(() => this.inner.dispose())
  }
}

/** An event of the inner stream, recorded when the queue reaches it. */
export class SerialEvent implements BackendEvent {
  readonly reached: Promise<BackendEvent>
  #inner: BackendEvent | null = null
  #failure: unknown = null

  constructor(stream: SerialStream) {
    this.reached = new Promise((resolve, reject) => {
      stream.enqueue(() => {
        this.#inner = stream.inner.record()
        resolve(this.#inner)
      })
      stream.queue.catch((error) => {
        this.#failure = error
        reject(error)
      })
    })
    this.reached.catch(() => {})
  }

  query(): boolean {
    if (this.#failure) throw this.#failure
    return this.#inner?.query() ?? false
  }

  async done(): Promise<void> {
    await (await this.reached).done()
  }

  elapsedSince(earlier: BackendEvent): number {
    return (this.#inner as BackendEvent).elapsedSince((earlier as SerialEvent).#inner as BackendEvent)
  }

  dispose(): void {
    this.reached.then(
      (inner) => inner.dispose(),
      () => {},
    )
  }
}
