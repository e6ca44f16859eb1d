#pragma once

#include "../kernels/convert.h"

namespace polymla::cpu {

/**
 * A double as fp32, rounded to odd: where it has no fp32, the neighbour whose last bit is set. Rounding that to a type
 * of fewer bits gives what rounding the double once would have given.
 */
inline float roundToOdd(double value) {
  const auto nearest = static_cast<float>(value);
  const uint32_t bits = bitsOf(nearest);
  if (nearest == value || value != value || (bits & 1) != 0) return nearest;
  const double magnitude = value < 0 ? -value : value;
  const double found = nearest < 0 ? -nearest : nearest;
  return floatOf(found > magnitude ? bits - 1 : bits + 1);
}

} // namespace polymla::cpu
