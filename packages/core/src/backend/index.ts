export * from './contract.js'
export * from './launch-args.js'
export { unavailableReason } from './unavailable-reason.js'
