import { behaviourCases } from '../behaviour/index.js'
import type { Case } from '../cases/case.js'
export type GridName = 'smoke' | 'standard' | 'full'
export function casesOf(_: GridName): Case[] {
  return [...behaviourCases]
}
