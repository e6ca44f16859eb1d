import { behaviourFaults } from './behaviour.js'
import { decodeFaults } from './decode.js'
import { otherOpFaults } from './other-ops.js'

/** Every bug that {@link faultyBackend} can have, by its name. */
export const FAULTS = { ...decodeFaults, ...otherOpFaults, ...behaviourFaults }

export type FaultName = keyof typeof FAULTS
