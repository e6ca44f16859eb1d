/**
 * A float format of at most 16 bits: sign, exponent, fraction, from high bit to low, with subnormals. The largest
 * code is either infinity (one binade above `maxExponent`) or, in formats without one, the largest finite value.
 */
interface SmallFloat {
  readonly bits: number
  readonly fractionBits: number
  /** Exponent of the smallest normal value. */
  readonly minExponent: number
  /** Exponent of the largest finite value. */
  readonly maxExponent: number
  /** Positive code that everything too large rounds to. */
  readonly largest: number
  readonly nan: number
}

const BF16: SmallFloat = {
  bits: 16,
  fractionBits: 7,
  minExponent: -126,
  maxExponent: 127,
  largest: 0x7f80,
  nan: 0x7fc0,
}
const F16: SmallFloat = {
  bits: 16,
  fractionBits: 10,
  minExponent: -14,
  maxExponent: 15,
  largest: 0x7c00,
  nan: 0x7e00,
}
const E4M3: SmallFloat = {
  bits: 8,
  fractionBits: 3,
  minExponent: -6,
  maxExponent: 8,
  largest: 0x7e,
  nan: 0x7f,
}

const double = new Float64Array(1)
const doubleWords = new Uint32Array(double.buffer)
const single = new Float32Array(1)
const singleBits = new Uint32Array(single.buffer)

/** Value of a bf16 code. */
export function decodeBf16(bits: number): number {
  singleBits[0] = bits << 16
  return single[0]
}

/** Value of every f16 code. */
export const F16_VALUES = valueTable(F16)
/** Value of every e4m3 code. */
export const E4M3_VALUES = valueTable(E4M3)

/** Nearest bf16 code, ties to even; overflow gives ±infinity. */
export const encodeBf16 = encoder(BF16)
/** Nearest f16 code, ties to even; overflow gives ±infinity. */
export const encodeF16 = encoder(F16)
/** Nearest e4m3 code, ties to even; everything beyond ±448, infinities included, gives ±448. */
export const encodeE4m3 = encoder(E4M3)

function valueTable({ bits, fractionBits, minExponent, maxExponent, largest }: SmallFloat): Float32Array {
  const signBit = 2 ** (bits - 1)
  const one = 2 ** fractionBits
  const magnitude = (code: number): number => {
    if (code > largest) return Number.NaN
    const binade = Math.max((code >> fractionBits) - 1, 0)
    if (minExponent + binade > maxExponent) return Number.POSITIVE_INFINITY
    const fraction = code - binade * one
    return fraction * 2 ** (minExponent + binade - fractionBits)
  }
  return Float32Array.from({ length: 2 * signBit }, (_, code) =>
    code < signBit ? magnitude(code) : -magnitude(code - signBit),
  )
}

/**
 * An allocation-free encoder. A value of binade `b` (counted from the smallest normal one, subnormals included)
 * is scaled to an integer of `fractionBits + 1` bits: exact, being a power of two. Adding and taking away 2^52
 * rounds that to nearest even, the only rounding there is. Codes are consecutive across binades, so the code is
 * `b << fractionBits` plus the integer, also where rounding carries into the next binade.
 */
function encoder({ bits, fractionBits, minExponent, maxExponent, largest, nan }: SmallFloat) {
  const signBit = 2 ** (bits - 1)
  const binades = maxExponent - minExponent + 1
  const scales = Float64Array.from({ length: binades }, (_, b) => 2 ** (fractionBits - minExponent - b))
  const integer = 2 ** 52
  return (value: number): number => {
    if (Number.isNaN(value)) return nan
    double[0] = value
    const high = doubleWords[1]
    const sign = high >>> 31 ? signBit : 0
    const binade = Math.max(((high >>> 20) & 0x7ff) - 1023 - minExponent, 0)
    if (binade >= binades) return sign | largest
    const rounded = Math.abs(value) * scales[binade] + integer - integer
    return sign | Math.min((binade << fractionBits) + rounded, largest)
  }
}
