/*
 * What memory.cpp computes: both ops as polymla_backend.h defines them, straight from the text.
 */
#pragma once

#include <polymla_backend.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

inline void mergeRow(const pmla_merge_states_problem &problem, const pmla_merge_states_args &args, int64_t b,
                     int64_t s, int64_t h) {
  const float *lses = args.lses + b * args.lses_strides[1] + h * args.lses_strides[2] + s;
  const float *outs = static_cast<const float *>(args.outs) + b * args.outs_strides[1] +
                      s * args.outs_strides[2] + h * args.outs_strides[3];
  float *out = static_cast<float *>(args.out) +
               ((b * problem.query_tokens + s) * problem.heads + h) * problem.value_dim;
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t p = 0; p < problem.parts; p++) {
    const double lse = lses[p * args.lses_strides[0]];
    if (std::isfinite(lse) && lse > largest) largest = lse;
  }
  /* Allocates nothing: on a stream's thread there is nobody to tell that memory has run out. */
  const auto weight = [&](int64_t p) {
    const double lse = lses[p * args.lses_strides[0]];
    return std::isfinite(lse) ? std::exp(lse - largest) : 0;
  };
  double total = 0;
  for (int64_t p = 0; p < problem.parts; p++) total += weight(p);
  for (int64_t d = 0; d < problem.value_dim; d++) {
    double sum = 0;
    for (int64_t p = 0; p < problem.parts; p++) {
      /* What an empty part holds may be NaN. */
      if (weight(p) > 0) sum += weight(p) * outs[p * args.outs_strides[0] + d];
    }
    out[d] = total > 0 ? float(sum / total) : 0.0F;
  }
  if (args.lse != nullptr) {
    args.lse[(b * problem.heads + h) * problem.query_tokens + s] =
        total > 0 ? float(largest + std::log(total)) : std::numeric_limits<float>::infinity();
  }
}

inline void mergeRows(const pmla_merge_states_problem &problem, const pmla_merge_states_args &args) {
  for (int64_t b = 0; b < problem.batch; b++) {
    for (int64_t s = 0; s < problem.query_tokens; s++) {
      for (int64_t h = 0; h < problem.heads; h++) mergeRow(problem, args, b, s, h);
    }
  }
}

/* Bytes of one of the units that strides of a cache count, and units of a token. */
inline std::pair<int64_t, int64_t> unitOf(const pmla_kv_layout &cache) {
  const int64_t numbers = cache.heads_kv * cache.head_dim;
  switch (cache.format) {
    case PMLA_KV_F32:
      return {4, numbers};
    case PMLA_KV_E4M3:
      return {1, numbers};
    case PMLA_KV_FP8_656:
      return {1, 656};
    case PMLA_KV_FP8_584:
      return {1, 584};
    default:
      return {2, numbers};
  }
}

inline void copyAll(const pmla_kv_layout &cache, const pmla_copy_pages_args &args) {
  const auto [unit, perToken] = unitOf(cache);
  char *base = static_cast<char *>(args.cache);
  for (int64_t i = 0; i < args.pairs; i++) {
    const int32_t from = args.pages[2 * i];
    const int32_t to = args.pages[2 * i + 1];
    if (from < 0 || from >= cache.pages || to < 0 || to >= cache.pages) continue;
    memcpy(base + to * cache.page_stride * unit, base + from * cache.page_stride * unit,
           static_cast<size_t>(cache.page_size * perToken * unit));
  }
}
