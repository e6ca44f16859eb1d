#pragma once

#include <cstdint>
#include <cstring>

#include "both.h"

namespace polymla {

PMLA_BOTH uint32_t bitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

PMLA_BOTH float floatOf(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/**
 * A double as fp32, rounded to odd: where it has no fp32, the neighbour whose last bit is set. Rounding that to a type of
 * fewer bits gives what rounding the double once would have given.
 */
PMLA_BOTH float roundToOdd(double value) {
  const auto nearest = static_cast<float>(value);
  const uint32_t bits = bitsOf(nearest);
  if (nearest == value || value != value || (bits & 1) != 0) return nearest;
  const double magnitude = value < 0 ? -value : value;
  const double found = nearest < 0 ? -nearest : nearest;
  return floatOf(found > magnitude ? bits - 1 : bits + 1);
}

} // namespace polymla
