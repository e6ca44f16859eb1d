/**
 * The CPU backend.
 *
 * @module @polymla/backend-cpu
 */
export { type CpuOptions, cpu, cpu as default } from './backend.js'
