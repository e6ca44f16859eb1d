export type { SafetensorsFile } from './read.js'
export { readSafetensors, tensorElements } from './read.js'
export type { TensorToWrite } from './write.js'
export { writeSafetensors } from './write.js'
