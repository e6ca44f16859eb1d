export * from './contract.js'
export * from './launch-args.js'
