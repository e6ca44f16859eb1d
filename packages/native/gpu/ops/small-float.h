#pragma once
#include <cmath>
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
template <int Fraction, int MinExponent, uint32_t Sign, uint32_t Largest, uint32_t Nan>
struct SmallFloat {
  /**
   * Codes are consecutive across binades, so a normal number's is the front of its fp32, which half a step rounds up to.
   * Smaller numbers are multiples of one step: adding 2^23 of them rounds to those.
   */
  static PMLA_BOTH uint32_t encode(float value) {
    constexpr int dropped = 23 - Fraction;
    constexpr uint32_t zeros = static_cast<uint32_t>(MinExponent - 1 + 127) << 23;
    constexpr uint32_t steps = static_cast<uint32_t>(MinExponent - Fraction + 23 + 127) << 23;
    const uint32_t bits = bitsOf(value);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return Nan;
    const uint32_t normal = (magnitude + (magnitude >> dropped & 1) + ((1u << (dropped - 1)) - 1 - zeros)) >> dropped;
    const uint32_t small = bitsOf(floatOf(magnitude) + floatOf(steps)) - steps;
    const uint32_t code = magnitude < zeros + (1u << 23) ? small : normal;
    return (bits >> 31 ? Sign : 0) | (code < Largest ? code : Largest);
  }
};

PMLA_BOTH uint16_t encodeF16(float value) {
  return static_cast<uint16_t>(SmallFloat<10, -14, 0x8000, 0x7c00, 0x7e00>::encode(value));
}
PMLA_BOTH uint8_t encodeE4m3(float value) {
  return static_cast<uint8_t>(SmallFloat<3, -6, 0x80, 0x7e, 0x7f>::encode(value));
}

PMLA_BOTH uint16_t encodeF16(double value) { return encodeF16(roundToOdd(value)); }
PMLA_BOTH uint8_t encodeE4m3(double value) { return encodeE4m3(roundToOdd(value)); }
PMLA_BOTH uint16_t encodeBf16(double value) { return roundToBf16(roundToOdd(value)); }

/** Two 16-bit codes in a word, each as it is, but NaN as the one code that it has here. */
template <uint32_t Infinity, uint32_t Nan>
PMLA_BOTH uint32_t withOneNan(uint32_t codes) {
  constexpr uint32_t both = 0x00010001;
  const uint32_t isNan = (((codes & 0x7fff * both) + (0x7fff - Infinity) * both) >> 15 & both) * 0xffff;
  return (codes & ~isNan) | (Nan * both & isNan);
}

/**
 * Division of fp32 numbers whose quotients become e4m3, with the code that x / divisor has in doubles: in fp32, but for the
 * smallest and largest divisors.
 *
 * Codes change at midpoints, which have 5 significant bits. For each, one x at most has a quotient closer to it than 2^-39 (of
 * it): what doubles make of that one, a tie or not, is found here. Where not all are ties, the inverse is moved by 2^-41 to
 * the side that the others are on; it is one side, since such x are midpoints times one number: fractions of 24 by 5 bits are
 * equal or differ by 2^-34. All other quotients stay on their side of a midpoint.
 */
struct E4m3Divisor {
  double divisor;
  double factor;          ///< its inverse
  float inverse = 0;      ///< towards 0; 0: doubles divide
  float rest = 0;         ///< of the inverse, with its sign
  uint32_t sides = 0;     ///< of the midpoints with quotients close by, those where these are no ties, by bits 19 to 22
  bool isPower = false;   ///< of two: products with the inverse are exact, or too small or large for that to matter

  explicit E4m3Divisor(double divisor) : divisor(divisor), factor(1 / divisor) {
    int exponent;
    isPower = std::fabs(std::frexp(divisor, &exponent)) == 0.5 && std::isnormal(static_cast<float>(factor));
    if (isPower) inverse = static_cast<float>(factor);
    // Within these bounds all numbers are normal whose quotients do not become 0 or ±448 in any case.
    if (isPower || !(std::fabs(factor) > 0x1p-100 && std::fabs(factor) < 0x1p100)) return;
    double moved = factor;
    for (int middle = 1; middle < 32; middle += 2) {
      const double quotient = static_cast<double>(static_cast<float>(middle * divisor)) / divisor;
      if (quotient == middle || std::fabs(quotient - middle) > middle * 0x1p-39) continue;
      sides |= 1u << (bitsOf(static_cast<float>(middle)) >> 19 & 15);
      moved = factor * (quotient > middle ? 1 + 0x1p-41 : 1 - 0x1p-41);
    }
    const auto near = static_cast<float>(moved);
    inverse = std::fabs(near) > std::fabs(moved) ? floatOf(bitsOf(near) - 1) : near;
    rest = static_cast<float>(moved - static_cast<double>(inverse));
    if (rest == 0) rest = inverse * 0x1p-60f;  // so that its product with infinity is not NaN
  }

  /** A number with the code of the quotient, unless doubles divide. `hasSides`: whether there are any. */
  template <bool hasSides>
  PMLA_BOTH float rounded(float value) const {
    // The quotient is `near` + `beyond`, but for 2^-45 of it; `near` is it rounded, so a midpoint if the quotient is close to one.
    const float product = value * rest;
    const float near = fmaf(value, inverse, product);
    const float beyond = fmaf(value, inverse, -near) + product;
    const uint32_t bits = bitsOf(near);
    // Itself or the neighbour on the quotient's side, whichever is odd: no midpoint, and none is between it and the quotient.
    const uint32_t odd = (bits - ((bits ^ bitsOf(beyond)) >> 31)) | 1;
    // Not 0 and infinities, which have nothing beyond them.
    const bool isMoved = hasSides && (sides >> (bits >> 19 & 15) & 1) != 0 && near != 0 && fabs(near) < INFINITY;
    const bool isBeyond = fabs(beyond) > fabs(near) * 0x1p-40f || isMoved;
    return isBeyond ? floatOf(odd) : near;
  }

  /** A number with the code of the quotient: that itself, or a product three steps from it where no midpoint is within eight. */
  PMLA_BOTH double quotient(double value) const {
    if (isPower) return value * static_cast<double>(inverse);
    if (inverse == 0) return value / divisor;
    const double product = value * factor;
    uint64_t bits;
    memcpy(&bits, &product, sizeof bits);
    return ((bits + 8) & 0xffffffffffff) < 16 ? value / divisor : product;
  }
};

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

/** The same of fp32: magnitude ≤ 448 · 2^e where its fraction, carried into its exponent from above 1.75, is at most e + 8. */
PMLA_BOTH int scaleExponent(float magnitude) {
  const int exponent = static_cast<int>((bitsOf(magnitude) + 0x1fffff) >> 23) - 127 - 8;
  return exponent < -126 ? -126 : exponent;
}

/** 2^exponent of a normal double. */
PMLA_BOTH double powerOfTwo(int exponent) {
  const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace polymla
