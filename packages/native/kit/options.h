#pragma once

#include <cinttypes>

#include "failure.h"

namespace polymla {

/** Calls `each(key, value)` for the options of `open`. Throws Failure where they are none. */
template <class Each> void eachOption(const pmla_option *options, int32_t count, Each &&each) {
  if (count < 0 || (count > 0 && options == nullptr)) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                      "options: expected an array of option_count options, found %" PRId32 " at %p", count,
                      static_cast<const void *>(options));
  }
  for (int32_t i = 0; i < count; i++) {
    const auto [key, value] = options[i];
    if (key == nullptr || value == nullptr) {
      throw makeFailure(PMLA_INVALID_ARGUMENT, "", "options[%" PRId32 "]: expected a key and a value, found NULL", i);
    }
    each(key, value);
  }
}

} // namespace polymla
