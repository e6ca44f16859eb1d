/**
 * Registers the reference backend with the default runtime when imported.
 *
 * @module @polymla/backend-reference/register
 */
import { registerBackend } from '@polymla/core'
import { reference } from './backend.js'

registerBackend(reference())
