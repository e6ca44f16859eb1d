#pragma once
#include <algorithm>
#include <cstdint>

#include "../library/cuda-failure.h"

namespace polymla {

/** Enqueues a kernel of `blocks` × `threads`; a grid holds 2^31 − 1 blocks, so kernels step by gridDim.x. Throws Failure. */
template <class... Params>
void launchKernel(void (*kernel)(Params...), const char* name, int64_t blocks, int threads, cudaStream_t stream, const Params&... params) {
  if (blocks == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(std::min<int64_t>(blocks, INT32_MAX)));
  config.blockDim = dim3(threads);
  config.stream = stream;
  requireCuda(cudaLaunchKernelEx(&config, kernel, params...), name);
}

/** Threads of a block that works on a row of `count` chunks: whole warps. */
inline int rowThreads(int64_t count, int most) { return static_cast<int>(std::min<int64_t>((count + 31) / 32 * 32, most)); }

}  // namespace polymla
