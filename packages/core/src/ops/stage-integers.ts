import { filled, newTensor } from '../device/allocate.js'
import type { DeviceContext } from '../device/context.js'
import type { Stream } from '../device/stream.js'
import { invalidArgument } from '../errors.js'
import { elementCount } from '../tensor/shape.js'
import type { Tensor } from '../tensor/tensor.js'
import { hostIntegers, type Integers } from './integers.js'
import { checkTensor } from './tensor-args.js'

/** Integers as a launch takes them; disposing frees the staging, never a tensor of the user's. */
export interface StagedIntegers {
  readonly tensor: Tensor<'i32'>
  [Symbol.dispose](): void
}

/**
 * Checks integers for one launch; host values must lie in [min, max]. Returns what brings them to the device, so that
 * all arguments are checked before any is written. The staging may be disposed as soon as the launch is enqueued.
 */
export function checkIntegers(
  context: DeviceContext,
  path: string,
  given: Integers,
  shape: readonly number[],
  min: number,
  max: number,
): (stream: Stream) => StagedIntegers {
  const host = hostIntegers(path, given)
  if (!host) {
    const tensor = given as Tensor<'i32'>
    checkTensor(context, path, tensor, 'i32', shape, 'contiguous')
    return () => ({ tensor, [Symbol.dispose]() {} })
  }
  const count = elementCount(shape)
  if (host.length !== count) throw invalidArgument(path, `${count} integers [${shape.join(', ')}]`, host)
  for (let i = 0; i < count; i++) {
    if (host[i] < min || host[i] > max)
      throw invalidArgument(`${path}[${i}]`, `an integer in [${min}, ${max}]`, host[i])
  }
  return (stream) => {
    const tensor = filled(newTensor(context, 'i32', shape), (staging) => staging.write(host, { stream }))
    return { tensor, [Symbol.dispose]: () => tensor.dispose() }
  }
}
