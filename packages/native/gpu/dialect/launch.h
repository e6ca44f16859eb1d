#pragma once
#include <algorithm>
#include <cstdint>

#include "../library/failure-of.h"
#include "dialect.h"

namespace polymla {

/**
 * Enqueues a kernel; a grid holds 2^31 − 1 blocks, so kernels step by blockCount(). Shared memory past what every block
 * may have is asked for once per kernel, by allowShared. Throws Failure.
 */
template <class... Params>
void launchKernel(void (*kernel)(Params...), const char *name, int64_t blocks, int threads, int shared, rt::Stream stream,
                  const Params &...params) {
  if (blocks == 0) return;
  const auto grid = static_cast<unsigned>(std::min<int64_t>(blocks, INT32_MAX));
#if defined(PMLA_DIALECT_EMULATED)
  requireRuntime(emulator::launch(stream, {name, std::min(grid, emulator::faults.mostBlocks), static_cast<unsigned>(threads), static_cast<size_t>(shared)},
                                  [=] { kernel(params...); }),
                 name);
#elif defined(PMLA_DIALECT_CUDA)
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(grid);
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared);
  config.stream = stream;
  requireRuntime(cudaLaunchKernelEx(&config, kernel, params...), name);
#else
  kernel<<<dim3(grid), dim3(static_cast<unsigned>(threads)), static_cast<size_t>(shared), stream>>>(params...);
  requireRuntime(PMLA_RT(GetLastError)(), name);
#endif
}

/** Lets a kernel be launched with so much shared memory, on the current device. Throws Failure. */
template <class... Params> void allowShared(void (*kernel)(Params...), int bytes) {
#if defined(PMLA_DIALECT_EMULATED)
  static_cast<void>(kernel);
  static_cast<void>(bytes);
#else
  requireRuntime(PMLA_RT(FuncSetAttribute)(reinterpret_cast<const void *>(kernel), PMLA_RT(FuncAttributeMaxDynamicSharedMemorySize), bytes),
                 "FuncSetAttribute");
#endif
}

} // namespace polymla
