import { copyPagesProblem, kvLayout } from '@polymla/core'
import { expect, it } from 'vitest'
import { copyPages } from './copy-pages.js'
import { cacheTensor, elementsOf, runKernel, tensor } from './kernel.fixtures.js'

it('copies pages, not what lies between them, and skips ids outside the cache', () => {
  const page = 2 * 16
  const layout = kvLayout({ format: 'e4m3', pages: 3, pageSize: 2, headDim: 16, pageStride: page + 5 })
  const cache = cacheTensor(layout)
  const bytes = elementsOf(cache)
  for (const id of [0, 1, 2]) bytes.fill(id, id * (page + 5), id * (page + 5) + page)
  const pairs = [
    [2, 0],
    [1, 3],
    [-1, 1],
    [3, 1],
  ]
  const problem = copyPagesProblem({ maxPairs: 8, cache: layout })
  runKernel(copyPages, problem, {
    pairs: 4,
    cache,
    pages: tensor('i32', [4, 2], pairs.flat()),
    workspace: null,
  })
  const gap = Array(5).fill(0xff)
  const filled = (id: number) => Array(page).fill(id)
  expect([...bytes]).toEqual([...filled(2), ...gap, ...filled(1), ...gap, ...filled(2)])
})
