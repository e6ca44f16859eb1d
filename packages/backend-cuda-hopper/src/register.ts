/**
 * Registers the NVIDIA Hopper backend with the default runtime when imported.
 *
 * @module @polymla/backend-cuda-hopper/register
 */
import { registerBackend } from '@polymla/core'
import { cudaHopper } from './backend.js'

registerBackend(cudaHopper())
