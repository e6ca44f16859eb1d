#pragma once
#include <cstdint>
#include <cstring>

#include "kit/round-to-odd.h"

// Numbers of caches, rounded once, ties to even, byte for byte as @polymla/core (dtype/small-float.ts): overflow gives
// ±infinity, ±448 in e4m3, which has none; NaN has one code; subnormals count.

namespace polymla {

/** fp32 as bf16, rounded to nearest even. NaN stays one. */
PMLA_BOTH uint16_t roundToBf16(float value) {
  const uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/** A float format of at most 16 bits: sign, exponent, fraction, from high bit to low. */
template <int Fraction, int MinExponent, int MaxExponent, uint32_t Sign, uint32_t Largest, uint32_t Nan>
struct SmallFloat {
  /**
   * The code of a number that roundToOdd made. It is scaled by a power of two, exactly, such that codes of its binade are
   * integers; adding and taking away 2^23 rounds to one. Codes are consecutive across binades.
   */
  static PMLA_BOTH uint32_t encode(float value) {
    const uint32_t bits = bitsOf(value);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return Nan;
    const uint32_t sign = bits >> 31 ? Sign : 0;
    int exponent = static_cast<int>(magnitude >> 23) - 127;
    if (exponent > MaxExponent) return sign | Largest;
    exponent = exponent < MinExponent ? MinExponent : exponent;
    const float toInteger = floatOf(static_cast<uint32_t>(Fraction - exponent + 127) << 23);
    const float rounded = floatOf(magnitude) * toInteger + 0x1p23f - 0x1p23f;
    const uint32_t code = (static_cast<uint32_t>(exponent - MinExponent) << Fraction) + static_cast<uint32_t>(rounded);
    return sign | (code < Largest ? code : Largest);
  }
};

PMLA_BOTH uint16_t encodeF16(double value) {
  return static_cast<uint16_t>(SmallFloat<10, -14, 15, 0x8000, 0x7c00, 0x7e00>::encode(roundToOdd(value)));
}

PMLA_BOTH uint8_t encodeE4m3(double value) {
  return static_cast<uint8_t>(SmallFloat<3, -6, 8, 0x80, 0x7e, 0x7f>::encode(roundToOdd(value)));
}

PMLA_BOTH uint16_t encodeBf16(double value) {
  return roundToBf16(roundToOdd(value));
}

/**
 * Exponent of the scale of a group of packed e4m3: of the smallest power of two that brings numbers up to `magnitude`
 * into ±448, within the exponents that normal fp32 numbers and e8m0 have in common.
 */
PMLA_BOTH int scaleExponent(double magnitude) {
  const double quotient = magnitude / 448;
  uint64_t bits;
  memcpy(&bits, &quotient, sizeof bits);
  const bool isPower = (bits & 0xfffffffffffff) == 0;
  const int exponent = static_cast<int>(bits >> 52) - 1023 + (isPower ? 0 : 1);
  return exponent < -126 ? -126 : exponent > 127 ? 127 : exponent;
}

/** 2^exponent of a normal double. */
PMLA_BOTH double powerOfTwo(int exponent) {
  const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace polymla
