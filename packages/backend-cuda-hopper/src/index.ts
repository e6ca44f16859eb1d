/**
 * The NVIDIA Hopper backend.
 *
 * @module @polymla/backend-cuda-hopper
 */
export { cudaHopper, cudaHopper as default } from './backend.js'
