#pragma once

#include "key-types.h"

namespace polymla::cpu {
namespace {

/** Some numbers of some keys, in f32. */
struct F32Numbers {
  const std::byte *first;
  int64_t stride; // bytes from key to key
};

/** The first `numbers` numbers, whole vectors, of `count` keys: where they are if in f32, else `converted`. */
template <class V, class Keys>
inline F32Numbers inF32(const std::byte *keys, int64_t stride, int count, int numbers, float *converted) {
  if constexpr (Keys::dtype == PMLA_F32) return {keys, stride};
  for (int key = 0; key < count; key++) {
    const std::byte *from = keys + key * stride;
    float *to = converted + key * numbers;
    for (int i = 0; i < numbers; i += V::lanes) V::store(to + i, Keys::load(from + i * Keys::bytes));
  }
  return {reinterpret_cast<const std::byte *>(converted), static_cast<int64_t>(numbers * sizeof(float))};
}

} // namespace
} // namespace polymla::cpu
