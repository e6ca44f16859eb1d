#pragma once
#include "../dialect/runtime.h"
#include "kit/failure.h"

namespace polymla {

/** How a call of the runtime failed, as the ABI says it; `call` is what was called. Clears the runtime's last error. */
Failure failureOf(rt::Error code, const char *call);

/** Why there are no devices. */
Failure noDevices(rt::Error code, int driverVersion);

/** Throws Failure unless the call succeeded. */
inline void requireRuntime(rt::Error code, const char *call) {
  if (code != PMLA_RT(Success)) throw failureOf(code, call);
}

} // namespace polymla

#define POLYMLA_REQUIRE(call) ::polymla::requireRuntime((call), #call)
