/**
 * The conformance suite as vitest tests.
 *
 * @module @polymla/conformance/vitest
 */
export { describeBackend } from './describe-backend.js'
