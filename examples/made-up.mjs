// @ts-check
import { fromFloat32 } from '@polymla/core'

/**
 * A bf16 tensor of made-up numbers in [-1, 1), in place of what a model computes; the same for the same seed.
 *
 * @param {import('@polymla/core').Device} device
 * @param {readonly number[]} shape
 * @param {number} seed
 */
export function madeUp(device, shape, seed) {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  }
  const size = shape.reduce((product, extent) => product * extent, 1)
  return device.upload(fromFloat32(Float32Array.from({ length: size }, next), 'bf16'), {
    shape,
    dtype: 'bf16',
  })
}

/**
 * Numbers for people.
 *
 * @param {ArrayLike<number>} numbers
 */
export const shown = (numbers) => Array.from(numbers, (x) => x.toFixed(4)).join(' ')
