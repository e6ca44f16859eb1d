export { decodeInto, encodeInto, fromBits, fromFloat32, toBits, toFloat32 } from './convert.js'
export type { DType, FloatDType, HostArray, HostData } from './dtype.js'
export { asHostArray, DTYPES, hostArray, isDType, itemSize } from './dtype.js'
