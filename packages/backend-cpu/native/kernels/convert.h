#pragma once

#include <cstdint>
#include <cstring>

/*
 * One number at a time between fp32 and the formats of caches. As everything that several instruction sets include,
 * this is in an unnamed namespace: were it shared between files that are compiled for different processors, the linker
 * would keep one copy, perhaps one that the processor at hand cannot run.
 */
namespace polymla::cpu {
namespace {

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/** A float format of at most 16 bits: sign, exponent, fraction, from high bit to low, with subnormals. */
struct SmallFloat {
  int fractionBits;
  int minExponent;  // of the smallest normal number
  int maxExponent;  // of the largest finite number
  uint32_t sign;    // the sign bit
  uint32_t largest; // positive code that everything too large rounds to
  uint32_t nan;
};

constexpr SmallFloat F16 = {10, -14, 15, 0x8000, 0x7c00, 0x7e00};
constexpr SmallFloat E4M3 = {3, -6, 8, 0x80, 0x7e, 0x7f};

/**
 * Nearest code, ties to even. A number is scaled by a power of two, exactly, such that codes of its binade are
 * integers; adding and taking away 2^23 rounds to one. Codes are consecutive across binades.
 */
inline uint32_t encodeSmall(const SmallFloat &format, float value) {
  const uint32_t bits = bitsOf(value);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return format.nan;
  const uint32_t sign = bits >> 31 ? format.sign : 0;
  int exponent = static_cast<int>(magnitude >> 23) - 127;
  if (exponent > format.maxExponent) return sign | format.largest;
  if (exponent < format.minExponent) exponent = format.minExponent;
  const float toInteger = floatOf(static_cast<uint32_t>(format.fractionBits - exponent + 127) << 23);
  const float rounded = floatOf(magnitude) * toInteger + 0x1p23f - 0x1p23f;
  const uint32_t binade = static_cast<uint32_t>(exponent - format.minExponent);
  const uint32_t code = (binade << format.fractionBits) + static_cast<uint32_t>(rounded);
  return sign | (code < format.largest ? code : format.largest);
}

/** Nearest f16 code, ties to even; overflow gives ±infinity. */
inline uint16_t encodeF16(float value) { return static_cast<uint16_t>(encodeSmall(F16, value)); }

/** Nearest e4m3 code, ties to even; everything beyond ±448, infinities included, gives ±448. */
inline uint8_t encodeE4m3(float value) { return static_cast<uint8_t>(encodeSmall(E4M3, value)); }

/** Nearest bf16 code, ties to even; overflow gives ±infinity. */
inline uint16_t encodeBf16(float value) {
  const uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float decodeBf16(uint16_t code) { return floatOf(static_cast<uint32_t>(code) << 16); }

inline float decodeF16(uint16_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(code & 0x7fff) << 13;
  // f32's exponents reach further by 112; this is exact for subnormals too.
  const uint32_t finite = bitsOf(floatOf(magnitude) * 0x1p112f);
  const uint32_t special = magnitude >= 0x0f800000 ? 0x7f800000 : 0;
  return floatOf(sign | finite | special);
}

struct E4m3Values {
  float of[256];
  constexpr E4m3Values() : of{} {
    for (int code = 0; code < 256; code++) {
      const int exponent = code >> 3 & 15;
      float value = static_cast<float>((code & 7) + (exponent > 0 ? 8 : 0));
      for (int e = exponent > 0 ? exponent : 1; e < 10; e++) value /= 2;
      for (int e = exponent; e > 10; e--) value *= 2;
      if ((code & 0x7f) == 0x7f) value = __builtin_nanf("");
      of[code] = code < 128 ? value : -value;
    }
  }
};
constexpr E4m3Values E4M3_VALUES;

inline float decodeE4m3(uint8_t code) { return E4M3_VALUES.of[code]; }

/** A scale of the 584-byte format: 2^(code − 127); 255 is NaN. */
inline float decodeE8m0(uint8_t code) {
  if (code == 0) return 0x1p-127f;
  return floatOf(code == 255 ? 0x7fc00000 : static_cast<uint32_t>(code) << 23);
}

} // namespace
} // namespace polymla::cpu
