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

/** Elements from `index` on; `from` is aligned to its elements. */
PMLA_DEVICE void loadChunk(const void* from, uint32_t dtype, int64_t index, float (&values)[chunkValues]) {
  const char* const at = static_cast<const char*>(from) + index * (dtype == PMLA_F32 ? 4 : 2);
  if (!isAligned(at, 16)) {
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) values[i] = loadNumber(at, dtype, i);
  } else if (dtype == PMLA_F32) {
    const float4 low = reinterpret_cast<const float4*>(at)[0];
    const float4 high = reinterpret_cast<const float4*>(at)[1];
    values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
    values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
  } else {
    const uint4 codes = *reinterpret_cast<const uint4*>(at);
    const uint32_t pairs[4] = {codes.x, codes.y, codes.z, codes.w};
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) {
      const uint32_t code = pairs[i / 2] >> i % 2 * 16 & 0xffff;
      values[i] = dtype == PMLA_BF16 ? floatOf(code << 16) : floatOfF16(static_cast<uint16_t>(code));
    }
  }
}

/** Stores codes to any address. */
template <class Code>
PMLA_DEVICE void storeCodes(void* to, const Code (&codes)[chunkValues]) {
  constexpr int bytes = sizeof codes;
  constexpr int unit = bytes < 16 ? bytes : 16;
  if (isAligned(to, unit)) {
    using Unit = typename std::conditional<unit == 16, uint4, uint2>::type;
    Unit units[bytes / unit];
    memcpy(units, codes, bytes);
PMLA_UNROLL
    for (int i = 0; i < bytes / unit; i++) static_cast<Unit*>(to)[i] = units[i];
    return;
  }
PMLA_UNROLL
  for (int i = 0; i < chunkValues; i++) {
    uint8_t parts[sizeof(Code)];
    memcpy(parts, &codes[i], sizeof(Code));
PMLA_UNROLL
    for (int part = 0; part < static_cast<int>(sizeof(Code)); part++) static_cast<uint8_t*>(to)[i * sizeof(Code) + part] = parts[part];
  }
}

/** Stores numbers, each rounded once. `dtype` is not e4m3. */
PMLA_DEVICE void storeChunk(void* to, uint32_t dtype, const double (&values)[chunkValues]) {
  if (dtype == PMLA_F32) {
    float codes[chunkValues];
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) codes[i] = static_cast<float>(values[i]);
    storeCodes(to, codes);
  } else {
    uint16_t codes[chunkValues];
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) codes[i] = dtype == PMLA_BF16 ? encodeBf16(values[i]) : encodeF16(values[i]);
    storeCodes(to, codes);
  }
}

/** The same of fp32, by the hardware's own rounding where it has one: a NaN may have any code. */
PMLA_DEVICE void storeChunk(void* to, uint32_t dtype, const float (&values)[chunkValues]) {
  if (dtype == PMLA_F32) {
    storeCodes(to, values);
  } else {
    uint16_t codes[chunkValues];
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) codes[i] = dtype == PMLA_BF16 ? roundToBf16(values[i]) : f16OfFloat(values[i]);
    storeCodes(to, codes);
  }
}

}  // namespace polymla
