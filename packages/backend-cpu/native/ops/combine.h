#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../kernels/kernels.h"

namespace polymla::cpu {

constexpr double NOTHING_SEEN = -std::numeric_limits<double>::infinity();

/**
 * Combines partial states over disjoint keys, in order: with L the largest lse and w[p] = exp(lse[p] − L),
 * out = Σ w[p] · out[p] / Σ w[p] and lse = L + ln Σ w[p].
 *
 * @param lseOf lse of a part, NOTHING_SEEN for an empty one, whose out is not read
 * @param outOf the `valueDim` numbers of a part
 * @returns lse, NOTHING_SEEN when all parts are empty; out is 0 then
 */
template <class LseOf, class OutOf>
double combineParts(const Kernels &kernels, int64_t parts, int64_t valueDim, LseOf lseOf, OutOf outOf,
                    float *out) {
  double largest = NOTHING_SEEN;
  for (int64_t part = 0; part < parts; part++) largest = std::fmax(largest, lseOf(part));
  double sum = 0;
  std::fill(out, out + valueDim, 0.0f);
  for (int64_t part = 0; part < parts; part++) {
    const double lse = lseOf(part);
    if (lse == NOTHING_SEEN) continue;
    const double weight = std::exp(lse - largest);
    sum += weight;
    kernels.accumulate(static_cast<float>(weight), outOf(part), out, valueDim);
  }
  if (sum == 0) return NOTHING_SEEN;
  const auto whole = static_cast<float>(1 / sum);
  for (int64_t i = 0; i < valueDim; i++) out[i] *= whole;
  return largest + std::log(sum);
}

/** lse as kernels and callers have it, +Infinity for a row that saw nothing, and back. */
inline double innerLse(float lse) {
  return lse == std::numeric_limits<float>::infinity() ? NOTHING_SEEN : lse;
}
inline float publicLse(double lse) {
  return lse == NOTHING_SEEN ? std::numeric_limits<float>::infinity() : static_cast<float>(lse);
}

/** What a sink leaves of a head's outs; `sinks` may be null. A row that saw nothing stays 0 whatever the sink. */
inline double sinkFactor(const float *sinks, int64_t head, double lse) {
  return sinks == nullptr || lse == NOTHING_SEEN ? 1 : 1 / (1 + std::exp(sinks[head] - lse));
}

inline void scaleRow(float *values, int64_t count, double factor) {
  if (factor == 1) return;
  const auto by = static_cast<float>(factor);
  for (int64_t i = 0; i < count; i++) values[i] *= by;
}

} // namespace polymla::cpu
