import { newTensor } from '../device/allocate.js'
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
 * Brings integers to the device for one launch. Host values are checked to lie in [min, max] before anything is
 * enqueued; the staging tensor may be disposed as soon as the launch is.
 */
export function stageIntegers(
  context: DeviceContext,
  path: string,
  given: Integers,
  shape: readonly number[],
  min: number,
  max: number,
  stream: Stream | undefined,
): StagedIntegers {
  const host = hostIntegers(path, given)
  if (!host) {
    const tensor = given as Tensor<'i32'>
    checkTensor(context, path, tensor, 'i32', shape, 'contiguous')
    return { tensor, [Symbol.dispose]() {} }
  }
  const count = elementCount(shape)
  if (host.length !== count) throw invalidArgument(path, `${count} integers [${shape.join(', ')}]`, host)
  for (let i = 0; i < count; i++) {
    if (host[i] < min || host[i] > max)
      throw invalidArgument(`${path}[${i}]`, `an integer in [${min}, ${max}]`, host[i])
  }
  const tensor = newTensor(context, 'i32', shape)
  tensor.write(host, stream ? { stream } : {})
  return { tensor, [Symbol.dispose]: () => tensor.dispose() }
}
