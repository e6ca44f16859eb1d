/**
 * The exact reference backend.
 *
 * @module @polymla/backend-reference
 */
export { reference, reference as default } from './backend.js'
