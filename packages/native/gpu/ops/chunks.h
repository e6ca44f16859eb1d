#pragma once
#include "../dialect/dialect.h"

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "polymla_backend.h"
#include "small-float.h"

namespace polymla {

/** Numbers that a thread works on at a time. */
constexpr int chunkValues = 8;

PMLA_DEVICE bool isAligned(const void* address, int bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

/** Element `index` of an array of bf16, f16 or f32. */
PMLA_DEVICE float loadNumber(const void* from, uint32_t dtype, int64_t index) {
  if (dtype == PMLA_F32) return static_cast<const float*>(from)[index];
  const uint16_t code = static_cast<const uint16_t*>(from)[index];
  return dtype == PMLA_BF16 ? floatOf(static_cast<uint32_t>(code) << 16) : floatOfF16(code);
}

/**
 * A chunk of bf16, f16 or f32 as it lies in memory. It is decoded when it is used, so that a thread can have several on their
 * way before it waits for the first.
 */
template <uint32_t dtype>
struct Chunk {
  static constexpr int elementBytes = dtype == PMLA_F32 ? 4 : 2;
  static constexpr int words = chunkValues * elementBytes / 4;
  uint32_t word[words] = {};

  /** `from` is aligned to its elements. */
  PMLA_DEVICE void load(const void* from) {
    if (isAligned(from, 16)) {
PMLA_UNROLL
      for (int i = 0; i < words; i += 4) {
        const uint4 unit = static_cast<const uint4*>(from)[i / 4];
        memcpy(word + i, &unit, sizeof unit);
      }
      return;
    }
PMLA_UNROLL
    for (int i = 0; i < words; i++) {
      const auto* const halves = static_cast<const uint16_t*>(from) + 2 * i;
      word[i] = dtype == PMLA_F32 ? static_cast<const uint32_t*>(from)[i] : halves[0] | static_cast<uint32_t>(halves[1]) << 16;
    }
  }

  PMLA_DEVICE float operator[](int i) const {
    if (dtype == PMLA_F32) return floatOf(word[i]);
    const uint32_t pair = word[i / 2];
    if (dtype == PMLA_BF16) return floatOf(i % 2 == 0 ? pair << 16 : pair & 0xffff0000);
    return floatOfF16(static_cast<uint16_t>(pair >> i % 2 * 16));
  }

  PMLA_DEVICE void decode(float (&values)[chunkValues]) const {
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) values[i] = (*this)[i];
  }
};

template <int bytes>
using UnitOf = std::conditional_t<bytes == 16, uint4,
                                  std::conditional_t<bytes == 8, uint2,
                                                     std::conditional_t<bytes == 4, uint32_t,
                                                                        std::conditional_t<bytes == 2, uint16_t, uint8_t>>>>;

/** Stores codes to any address. */
template <class Code, int count>
PMLA_DEVICE void storeCodes(void* to, const Code (&codes)[count]) {
  constexpr int bytes = sizeof codes;
  constexpr int unit = bytes < 16 ? bytes : 16;
  if (isAligned(to, unit)) {
    using Unit = UnitOf<unit>;
    Unit units[bytes / unit];
    memcpy(units, codes, bytes);
PMLA_UNROLL
    for (int i = 0; i < bytes / unit; i++) static_cast<Unit*>(to)[i] = units[i];
    return;
  }
PMLA_UNROLL
  for (int i = 0; i < count; i++) {
    uint8_t parts[sizeof(Code)];
    memcpy(parts, &codes[i], sizeof(Code));
PMLA_UNROLL
    for (int part = 0; part < static_cast<int>(sizeof(Code)); part++) static_cast<uint8_t*>(to)[i * sizeof(Code) + part] = parts[part];
  }
}

/** Stores numbers, each rounded once, by the hardware where it does so. `dtype` is not e4m3. */
PMLA_DEVICE void storeNumbers(void* to, uint32_t dtype, const float (&values)[chunkValues]) {
  if (dtype == PMLA_F32) {
    storeCodes(to, values);
  } else {
    uint16_t codes[chunkValues];
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) {
      const uint16_t half = values[i] == values[i] ? f16OfFloat(values[i]) : 0x7e00;
      codes[i] = dtype == PMLA_BF16 ? roundToBf16(values[i]) : half;
    }
    storeCodes(to, codes);
  }
}

/** Codes of numbers, four in a word. */
PMLA_DEVICE void encodeE4m3(const float (&values)[chunkValues], uint32_t (&codes)[chunkValues / 4]) {
PMLA_UNROLL
  for (int i = 0; i < chunkValues; i += 4) {
    uint32_t pairs[2];
PMLA_UNROLL
    for (int pair = 0; pair < 2; pair++) {
      const float low = values[i + 2 * pair];
      const float high = values[i + 2 * pair + 1];
#if defined(PMLA_HAS_E4M3)
      pairs[pair] = e4m3OfFloats(low, high);
#else
      pairs[pair] = encodeE4m3(low) | static_cast<uint32_t>(encodeE4m3(high)) << 8;
#endif
    }
    codes[i / 4] = pairs[0] | pairs[1] << 16;
  }
}

}  // namespace polymla
