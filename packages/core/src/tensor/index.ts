export { contiguousStrides, elementCount, elementSpan, isContiguous } from './shape.js'
export type { Tensor } from './tensor.js'
