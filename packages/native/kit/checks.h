#pragma once

#include <cinttypes>
#include <cmath>
#include <cstdint>

#include "failure.h"

namespace polymla {

/** a · b, or INT64_MAX where that is more; both ≥ 0. */
inline int64_t times(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

// Each of these throws Failure PMLA_INVALID_ARGUMENT unless the value keeps its rule.

inline void requireRange(const char *name, int64_t value, int64_t least, int64_t most = INT64_MAX) {
  if (value >= least && value <= most) return;
  if (most == INT64_MAX) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected at least %" PRId64 ", found %" PRId64, name,
                      least, value);
  }
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected %" PRId64 " to %" PRId64 ", found %" PRId64,
                    name, least, most, value);
}

inline void requireMultiple(const char *name, int64_t value, int64_t of) {
  if (value > 0 && value % of == 0) return;
  throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                    "%s: expected a positive multiple of %" PRId64 ", found %" PRId64, name, of, value);
}

inline void requireFinite(const char *name, double value) {
  if (std::isfinite(value)) return;
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a finite number, found %g", name, value);
}

inline void requirePointer(const void *pointer, const char *name) {
  if (pointer == nullptr)
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a pointer, found NULL", name);
}

/** For values that a later version of the header may define. */
inline void requireKnown(bool known, const char *name, uint32_t value) {
  if (known) return;
  throw makeFailure(PMLA_UNSUPPORTED, "Update the backend",
                    "%s: this backend does not know the value %" PRIu32, name, value);
}

} // namespace polymla
