#pragma once

#include "convert.h"
#include "key-types.h"

namespace polymla::cpu {
namespace {

/** Writes `count` numbers of a tile, read by `load(i)` a vector at a time; returns what comes next. */
template <class V, class Keys, class Load> inline std::byte *putNumbers(std::byte *to, int count, Load load) {
  for (int i = 0; i < count; i += V::lanes) Keys::store(to + i * Keys::bytes, load(i));
  return to + count * Keys::bytes;
}

/** e4m3 in groups, each times scale(group). */
template <class V, class Keys, class Scale>
inline std::byte *putGroups(std::byte *to, const std::byte *codes, int groups, int group, Scale scale) {
  for (int g = 0; g < groups; g++, codes += group) {
    const auto factor = V::broadcast(scale(g));
    to = putNumbers<V, Keys>(to, group, [&](int i) { return V::loadE4m3(codes + i) * factor; });
  }
  return to;
}

/** The numbers of one token of any format. */
template <class V, class Keys> inline void putToken(std::byte *to, const CacheTokens &from, int token) {
  constexpr int rope = 64;
  const std::byte *codes = from.tokens[token];
  const auto bf16 = [&](int i) { return V::loadBf16(codes + 2 * i); };
  switch (from.format) {
  case PMLA_KV_BF16: putNumbers<V, Keys>(to, from.headDim, bf16); break;
  case PMLA_KV_F16: putNumbers<V, Keys>(to, from.headDim, [&](int i) { return V::loadF16(codes + 2 * i); }); break;
  case PMLA_KV_F32: putNumbers<V, Keys>(to, from.headDim, [&](int i) { return V::load(codes + 4 * i); }); break;
  case PMLA_KV_E4M3: putNumbers<V, Keys>(to, from.headDim, [&](int i) { return V::loadE4m3(codes + i); }); break;
  case PMLA_KV_FP8_656: {
    const std::byte *scales = codes + 512;
    to = putGroups<V, Keys>(to, codes, 4, 128, [&](int g) {
      float scale;
      std::memcpy(&scale, scales + 4 * g, sizeof scale);
      return scale;
    });
    codes += 528;
    putNumbers<V, Keys>(to, rope, bf16);
    break;
  }
  case PMLA_KV_FP8_584: {
    const std::byte *scales = from.scales[token];
    to = putGroups<V, Keys>(to, codes, 7, 64, [&](int g) { return decodeE8m0(static_cast<uint8_t>(scales[g])); });
    codes += 448;
    putNumbers<V, Keys>(to, rope, bf16);
    break;
  }
  }
}

/** Makes a packed tile [count][headDim] of the compute type from tokens of any format. */
template <class V> inline void gatherTokens(const CacheTokens &from, Compute compute, std::byte *tile) {
  withKeys<V>(compute, [&](auto keys) {
    using Keys = decltype(keys);
    const size_t bytes = static_cast<size_t>(from.headDim) * Keys::bytes;
    for (int token = 0; token < from.count; token++, tile += bytes) {
      if (from.format == Keys::dtype) {
        std::memcpy(tile, from.tokens[token], bytes);
      } else {
        putToken<V, Keys>(tile, from, token);
      }
    }
  });
}

} // namespace
} // namespace polymla::cpu
