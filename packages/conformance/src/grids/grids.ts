import { behaviourCases } from '../behaviour/all.js'
import type { Case } from '../cases/case.js'
import { describedCases, farCase } from '../cases/far-offsets.js'
import { fullDense, smokeDense, standardDense } from './dense.js'
import { fullOtherOps, smokeOtherOps, standardOtherOps } from './other-ops.js'
import { fullSparse, smokeSparse, standardSparse } from './sparse.js'

const GRIDS = {
  smoke: () => [...behaviourCases, ...smokeDense(), ...smokeSparse(), ...smokeOtherOps()],
  standard: () => [
    ...behaviourCases,
    ...describedCases(),
    ...standardDense(),
    ...standardSparse(),
    ...standardOtherOps(),
  ],
  full: () => [
    ...behaviourCases,
    ...describedCases(),
    farCase('e4m3'),
    farCase('bf16'),
    ...fullDense(),
    ...fullSparse(),
    ...fullOtherOps(),
  ],
} as const satisfies Record<string, () => Case[]>

/**
 * How much to check: `smoke` one case per property, in seconds; `standard` what fits in three minutes on two cores;
 * `full` FlashMLA's own grids and ours, for fast devices.
 */
export type GridName = keyof typeof GRIDS

export const GRID_NAMES = Object.freeze(Object.keys(GRIDS)) as readonly GridName[]

/** The cases of a grid, in the order they run; names are unique. */
export function casesOf(grid: GridName): Case[] {
  return GRIDS[grid]()
}
