#pragma once
#include "../mma/types.h"
#include "params.h"

namespace polymla {

/** The number of an OCP e4m3 code. */
PMLA_DEVICE float floatOfE4m3(uint32_t code) {
  // The exponent is of 4 bits and biased by 7, that of fp32 by 127; subnormal numbers come out right, too.
  const float magnitude = floatOf((code & 0x7f) << 20) * 0x1p120f;
  const float value = (code & 0x7f) == 0x7f ? floatOf(0x7fc00000) : magnitude;
  return (code & 0x80) != 0 ? -value : value;
}

/** 2^(code − 127); 255 is NaN. */
PMLA_DEVICE float floatOfE8m0(uint32_t code) {
  return code == 255 ? floatOf(0x7fc00000) : code == 0 ? 0x1p-127f : floatOf(code << 23);
}

/** `Count` bytes from any address. */
template <int Count> PMLA_DEVICE void loadBytes(unsigned char (&to)[Count], const unsigned char *from) {
  const auto address = reinterpret_cast<uintptr_t>(from);
  if (Count % 16 == 0 && address % 16 == 0) {
    PMLA_UNROLL
    for (int i = 0; i < Count / 16; i++) {
      const uint4 part = reinterpret_cast<const uint4 *>(from)[i];
      memcpy(to + 16 * i, &part, 16);
    }
  } else if (Count % 8 == 0 && address % 8 == 0) {
    PMLA_UNROLL
    for (int i = 0; i < Count / 8; i++) {
      const uint2 part = reinterpret_cast<const uint2 *>(from)[i];
      memcpy(to + 8 * i, &part, 8);
    }
  } else {
    PMLA_UNROLL
    for (int i = 0; i < Count; i++) to[i] = from[i];
  }
}

/** Element `index` of an array of a pmla_dtype. */
PMLA_DEVICE float loadElement(const void *from, uint32_t dtype, int64_t index) {
  switch (dtype) {
  case PMLA_F32: return static_cast<const float *>(from)[index];
  case PMLA_E4M3: return floatOfE4m3(static_cast<const uint8_t *>(from)[index]);
  case PMLA_F16: return floatOfF16(static_cast<const uint16_t *>(from)[index]);
  default: return Bf16::load(static_cast<const uint16_t *>(from)[index]);
  }
}

template <int Count> PMLA_DEVICE void loadHalves(float (&numbers)[Count], const unsigned char *from, bool isBf16) {
  unsigned char bytes[2 * Count];
  loadBytes(bytes, from);
  PMLA_UNROLL
  for (int i = 0; i < Count; i++) {
    const auto code = static_cast<uint16_t>(bytes[2 * i] | bytes[2 * i + 1] << 8);
    numbers[i] = isBf16 ? Bf16::load(code) : floatOfF16(code);
  }
}

template <int Count> PMLA_DEVICE void loadE4m3(float (&numbers)[Count], const unsigned char *from, float scale) {
  unsigned char bytes[Count];
  loadBytes(bytes, from);
  PMLA_UNROLL
  for (int i = 0; i < Count; i++) numbers[i] = floatOfE4m3(bytes[i]) * scale;
}

/** `Count` numbers of a token from `dim` on, dequantised but for the scale of an e4m3 cache. Count divides 16. */
template <int Count>
PMLA_DEVICE void loadKey(float (&numbers)[Count], const KeySet &set, const unsigned char *token, int within, int dim) {
  switch (set.format) {
  case PMLA_KV_F32: {
    unsigned char bytes[4 * Count];
    loadBytes(bytes, token + 4 * dim);
    memcpy(numbers, bytes, sizeof bytes);
    return;
  }
  case PMLA_KV_E4M3: return loadE4m3(numbers, token + dim, set.scale);
  case PMLA_KV_FP8_656: {
    // 512 e4m3, 4 fp32 scales (one per 128), 64 bf16 (FlashMLA 9241ae3).
    if (dim >= 512) return loadHalves(numbers, token + 528 + 2 * (dim - 512), true);
    unsigned char bytes[4];
    loadBytes(bytes, token + 512 + dim / 128 * 4);
    float scale;
    memcpy(&scale, bytes, sizeof scale);
    return loadE4m3(numbers, token + dim, scale);
  }
  case PMLA_KV_FP8_584: {
    // 448 e4m3, 64 bf16; after all tokens of the page, 7 e8m0 scales (one per 64) for each (FlashMLA 9241ae3).
    if (dim >= 448) return loadHalves(numbers, token + 448 + 2 * (dim - 448), true);
    const int64_t apart = (set.layout.pageSize - within) * CacheLayout::token584 + within * CacheLayout::scales584;
    return loadE4m3(numbers, token + dim, floatOfE8m0(token[apart + dim / 64]));
  }
  default: return loadHalves(numbers, token + 2 * dim, set.format == PMLA_KV_BF16);
  }
}

/** Rounds a chunk of 16 bytes into shared memory. */
template <class T> PMLA_DEVICE void storeTileChunk(unsigned char *to, const float (&numbers)[chunkOf<T>]) {
  typename T::Storage codes[chunkOf<T>];
  storeAll<T>(codes, numbers);
  uint4 chunk;
  memcpy(&chunk, codes, sizeof chunk);
  *reinterpret_cast<uint4 *>(to) = chunk;
}

} // namespace polymla
