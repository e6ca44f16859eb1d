/**
 * What bundlers for browsers find under this package's name: nothing of Node, which they could not resolve.
 *
 * @module
 */
export { reference, reference as default } from './browser-backend.js'
