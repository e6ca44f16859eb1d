/**
 * Registers the CPU backend with the default runtime when imported.
 *
 * @module @polymla/backend-cpu/register
 */
import { registerBackend } from '@polymla/core'
import { cpu } from './backend.js'

registerBackend(cpu())
