// A mock of the interface that forks of FlashMLA's first release share (deepseek-ai/FlashMLA, February 2025; MetaX-MACA/
// FlashMLA 0cb1a11 and MT-flashMLA c564db4 keep it): a metadata call, then a forward call over a paged cache, with lengths
// and block table on the device. Their calls take torch tensors; a port calls what lies below, with plain pointers, as here.
// The arithmetic is a float loop: the mock shows how to call, not how fast.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace lineage {

enum class Type { FP16, BF16, E4M3 };

/** What a fork accepts, by the readings that the table in docs/vendors.md cites. */
struct Limits {
  const char *name, *arch;
  bool fp16, bf16;
  /** 0: any power of two. */
  int pageSize;
};
constexpr Limits METAX{"MetaX, mocked", "xcore1000", true, true, 0};
constexpr Limits MOORE_THREADS{"Moore Threads, mocked", "mp_31", false, true, 64};

struct ForwardParams {
  Type type;
  int batch, queryTokens, heads, headDim, valueDim, pageSize, blockTableWidth;
  int64_t pages, pageStride;
  bool causal;
  float softmaxScale;
  float descaleQ = 1, descaleK = 1; // of E4M3, whose results are BF16
  const void *q; // contiguous: [batch, queryTokens, heads, headDim]
  const void *kv;
  const int *blockTable, *seqlens;
  void *out;
  float *lse; // [batch, heads, queryTokens]
  const int *tileSchedulerMetadata, *numSplits;
};

/** Fills tensors of the scheduler; forks agree about neither their content nor whether it is read. */
inline void getMetadata(const int *, int batch, int *metadata, int *numSplits) {
  metadata[0] = batch;
  for (int i = 0; i <= batch; i++) numSplits[i] = i;
}

inline float toFloat(Type type, uint16_t bits) {
  float value;
  if (type == Type::E4M3) {
    const int exponent = bits >> 3 & 15, fraction = bits & 7;
    if (exponent == 15 && fraction == 7) return NAN;
    value = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                          : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    return (bits & 128) != 0 ? -value : value;
  }
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  if (type == Type::FP16) {
    const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 0) {
      value = std::ldexp(static_cast<float>(fraction), -24);
      return sign ? -value : value;
    }
    wide = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
  }
  std::memcpy(&value, &wide, 4);
  return value;
}

inline float load(Type type, const void *from, int64_t at) {
  if (type == Type::E4M3) return toFloat(type, static_cast<const uint8_t *>(from)[at]);
  return toFloat(type, static_cast<const uint16_t *>(from)[at]);
}

inline uint16_t fromFloat(Type type, float value) {
  uint32_t wide;
  if (type != Type::FP16) {
    std::memcpy(&wide, &value, 4);
    return static_cast<uint16_t>((wide + 0x7fffu + (wide >> 16 & 1)) >> 16);
  }
  // Through the nearest multiple of the unit in the last place.
  const float magnitude = std::fabs(value);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  const int unit = (exponent < -13 ? -13 : exponent) - 11;
  const auto steps = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, -unit)));
  const uint32_t field = magnitude == 0 ? 0 : static_cast<uint32_t>(unit + 24) * 1024 + steps;
  return static_cast<uint16_t>((std::signbit(value) ? 0x8000u : 0) | (field > 0x7c00 ? 0x7c00 : field));
}

inline void forwardRow(const ForwardParams &p, int b, int s, int h) {
  const int64_t row = static_cast<int64_t>(b * p.queryTokens + s) * p.heads + h;
  const int most = p.blockTableWidth * p.pageSize;
  const int length = p.seqlens[b] < 0 ? 0 : p.seqlens[b] < most ? p.seqlens[b] : most;
  const int visible = p.causal ? length - (p.queryTokens - 1 - s) : length;
  std::vector<double> sums(static_cast<size_t>(p.valueDim), 0.0);
  double largest = -INFINITY, total = 0;
  for (int j = 0; j < visible; j++) {
    const int page = p.blockTable[b * p.blockTableWidth + j / p.pageSize];
    if (page < 0 || page >= p.pages) continue;
    const int64_t key = page * p.pageStride + static_cast<int64_t>(j % p.pageSize) * p.headDim;
    double score = 0;
    for (int d = 0; d < p.headDim; d++) {
      score += static_cast<double>(load(p.type, p.q, row * p.headDim + d)) * load(p.type, p.kv, key + d);
    }
    score *= static_cast<double>(p.softmaxScale) * p.descaleQ * p.descaleK;
    const double next = std::fmax(largest, score), keep = std::exp(largest - next), weight = std::exp(score - next);
    total = total * keep + weight;
    for (int d = 0; d < p.valueDim; d++) {
      sums[static_cast<size_t>(d)] = sums[static_cast<size_t>(d)] * keep + weight * load(p.type, p.kv, key + d);
    }
    largest = next;
  }
  auto *out = static_cast<uint16_t *>(p.out) + row * p.valueDim;
  for (int d = 0; d < p.valueDim; d++) {
    const double mean = total > 0 ? sums[static_cast<size_t>(d)] / total * p.descaleK : 0;
    out[d] = fromFloat(p.type, static_cast<float>(mean));
  }
  const double lse = total > 0 ? largest + std::log(total) : std::numeric_limits<double>::infinity();
  p.lse[(b * p.heads + h) * p.queryTokens + s] = static_cast<float>(lse);
}

inline void forward(const ForwardParams &p) {
  for (int b = 0; b < p.batch; b++) {
    for (int s = 0; s < p.queryTokens; s++) {
      for (int h = 0; h < p.heads; h++) forwardRow(p, b, s, h);
    }
  }
}

} // namespace lineage
