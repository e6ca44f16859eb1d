#pragma once

#include <cstddef>
#include <cstdint>

#include "convert.h"
#include "kernels.h"

namespace polymla::cpu {
namespace {

/** Applies `vector` to whole vectors of numbers, from number `i` on, and `single` to each of the rest. */
template <class V, class Vector, class Single> inline void forNumbers(int64_t count, Vector vector, Single single) {
  int64_t i = 0;
  for (; i + V::lanes <= count; i += V::lanes) vector(i);
  for (; i < count; i++) single(i);
}

/** f32 from codes of a pmla_dtype, aligned to their size. */
template <class V> inline void decodeNumbers(uint32_t dtype, const void *source, float *target, int64_t count) {
  const auto codes16 = static_cast<const uint16_t *>(source);
  const auto codes8 = static_cast<const uint8_t *>(source);
  switch (dtype) {
  case PMLA_BF16:
    return forNumbers<V>(
        count, [&](int64_t i) { V::store(target + i, V::loadBf16(codes16 + i)); },
        [&](int64_t i) { target[i] = decodeBf16(codes16[i]); });
  case PMLA_F16:
    return forNumbers<V>(
        count, [&](int64_t i) { V::store(target + i, V::loadF16(codes16 + i)); },
        [&](int64_t i) { target[i] = decodeF16(codes16[i]); });
  case PMLA_E4M3:
    return forNumbers<V>(
        count, [&](int64_t i) { V::store(target + i, V::loadE4m3(codes8 + i)); },
        [&](int64_t i) { target[i] = decodeE4m3(codes8[i]); });
  default: std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));
  }
}

/** Codes of a pmla_dtype, aligned to their size, from f32. */
template <class V> inline void encodeNumbers(uint32_t dtype, const float *source, void *target, int64_t count) {
  const auto codes16 = static_cast<uint16_t *>(target);
  const auto codes8 = static_cast<uint8_t *>(target);
  switch (dtype) {
  case PMLA_BF16:
    return forNumbers<V>(
        count, [&](int64_t i) { V::storeBf16(codes16 + i, V::load(source + i)); },
        [&](int64_t i) { codes16[i] = encodeBf16(source[i]); });
  case PMLA_F16:
    return forNumbers<V>(
        count, [&](int64_t i) { V::storeF16(codes16 + i, V::load(source + i)); },
        [&](int64_t i) { codes16[i] = encodeF16(source[i]); });
  case PMLA_E4M3:
    for (int64_t i = 0; i < count; i++) codes8[i] = encodeE4m3(source[i]);
    return;
  default: std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));
  }
}

/** target[i] += weight · source[i] */
template <class V> inline void accumulateNumbers(float weight, const float *source, float *target, int64_t count) {
  const auto factor = V::broadcast(weight);
  forNumbers<V>(
      count, [&](int64_t i) { V::store(target + i, V::fma(factor, V::load(source + i), V::load(target + i))); },
      [&](int64_t i) { target[i] += weight * source[i]; });
}

} // namespace
} // namespace polymla::cpu
