import type { BackendBuffer, BackendEvent, BackendGraph, BackendStream } from '@polymla/core'
import type { Addon, NativeEventHandle, NativeGraphHandle, NativeStreamHandle } from './addon.js'
import { addressIn } from './buffer.js'

/** A queue of the library's. */
export class NativeStream implements BackendStream {
  readonly #addon: Addon
  readonly handle: NativeStreamHandle
  /** Held, so that the device is not collected before the stream. */
  readonly owner: object
  readonly beginCapture?: () => void
  readonly endCapture?: () => BackendGraph

  /** @param captures whether the library has graphs */
  constructor(addon: Addon, owner: object, handle: NativeStreamHandle, captures: boolean) {
    this.#addon = addon
    this.owner = owner
    this.handle = handle
    if (!captures) return
    this.beginCapture = () => addon.beginCapture(handle)
    this.endCapture = () => new NativeGraph(addon, owner, addon.endCapture(handle))
  }

  upload(target: BackendBuffer, targetOffset: number, source: Uint8Array): void {
    this.#addon.upload(this.handle, addressIn(target, targetOffset), source)
  }

  download(source: BackendBuffer, sourceOffset: number, target: Uint8Array): void {
    this.#addon.download(this.handle, addressIn(source, sourceOffset), target)
  }

  fill(target: BackendBuffer, targetOffset: number, bytes: number, value: number): void {
    this.#addon.fill(this.handle, addressIn(target, targetOffset), bytes, value)
  }

  copy(
    source: BackendBuffer,
    sourceOffset: number,
    target: BackendBuffer,
    targetOffset: number,
    bytes: number,
  ): void {
    this.#addon.copy(this.handle, addressIn(source, sourceOffset), addressIn(target, targetOffset), bytes)
  }

  record(): BackendEvent {
    return new NativeEvent(this.#addon, this.owner, this.#addon.record(this.handle))
  }

  wait(event: BackendEvent): void {
    this.#addon.wait(this.handle, (event as NativeEvent).handle)
  }

  dispose(): void {
    this.#addon.dispose(this.handle)
  }
}

class NativeEvent implements BackendEvent {
  readonly #addon: Addon
  readonly handle: NativeEventHandle
  readonly owner: object

  constructor(addon: Addon, owner: object, handle: NativeEventHandle) {
    this.#addon = addon
    this.owner = owner
    this.handle = handle
  }

  query(): boolean {
    return this.#addon.query(this.handle)
  }

  /** Async, so that what is known at once rejects too. */
  async done(): Promise<void> {
    await this.#addon.done(this.handle)
  }

  elapsedSince(earlier: BackendEvent): number {
    return this.#addon.elapsed(this.handle, (earlier as NativeEvent).handle)
  }

  dispose(): void {
    this.#addon.dispose(this.handle)
  }
}

class NativeGraph implements BackendGraph {
  readonly #addon: Addon
  readonly #handle: NativeGraphHandle
  readonly owner: object

  constructor(addon: Addon, owner: object, handle: NativeGraphHandle) {
    this.#addon = addon
    this.owner = owner
    this.#handle = handle
  }

  launch(stream: BackendStream): void {
    this.#addon.launchGraph(this.#handle, (stream as NativeStream).handle)
  }

  dispose(): void {
    this.#addon.dispose(this.#handle)
  }
}
