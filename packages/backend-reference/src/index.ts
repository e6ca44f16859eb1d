/**
 * The exact reference backend.
 *
 * @module @polymla/backend-reference
 */
export { default, reference } from './backend.js'
