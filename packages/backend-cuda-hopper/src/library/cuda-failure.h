#pragma once
#include <cuda_runtime.h>

#include "kit/failure.h"

namespace polymla {

/** How a call of the CUDA runtime failed, as the ABI says it; `call` is what was called. Clears the runtime's last error. */
Failure cudaFailure(cudaError_t code, const char* call);

/** Throws Failure unless the call succeeded. */
inline void requireCuda(cudaError_t code, const char* call) {
  if (code != cudaSuccess) throw cudaFailure(code, call);
}

/** What to do about an old driver. */
const char* newerDriver();

}  // namespace polymla

#define POLYMLA_REQUIRE(call) ::polymla::requireCuda((call), #call)
