export { checkLibrary } from './check-library.js'
export { isSecureProcess } from './secure-process.js'
