#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "early-launch.h"
#include "gpu/library/failure-of.h"
#include "launch-params.h"

namespace polymla {

/**
 * Enqueues a kernel of one dimension that calls ptx::awaitEarlierKernels: it may begin while the kernel ahead of it ends.
 * Throws Failure.
 */
template <class... Params>
void launchDependent(void (*kernel)(Params...), const char* name, int64_t blocks, int threads, cudaStream_t stream, const Params&... params) {
  static_assert(fitsParams<Params...>);
  if (blocks == 0) return;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(std::min<int64_t>(blocks, INT32_MAX)));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = launchesEarly() ? 1 : 0;
  requireRuntime(cudaLaunchKernelEx(&config, kernel, params...), name);
}

}  // namespace polymla
