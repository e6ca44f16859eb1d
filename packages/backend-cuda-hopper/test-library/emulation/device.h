#pragma once
// Included before a CUDA source that a C++ compiler compiles: the threads of a block run as fibers, one after the other.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime.h"

// What blocks share lives once, since one block runs after the other.
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace polymla::emulation {

/** Runs all blocks of a grid; `kernel` is called once per thread. */
void run(dim3 grid, dim3 block, const std::function<void()>& kernel);

/** Waits for all threads of the block, or of the warp, that have not ended. */
void syncBlock();
void syncWarp();

/** A place in a warp's memory for each lane's value. */
void* laneSlot(unsigned lane);

}  // namespace polymla::emulation

using std::isfinite;
using std::max;
using std::min;

inline void __syncthreads() { polymla::emulation::syncBlock(); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int step) {
  using namespace polymla::emulation;
  const unsigned lane = threadIdx.x % 32;
  std::memcpy(laneSlot(lane), &value, sizeof value);
  syncWarp();
  T other;
  std::memcpy(&other, laneSlot(lane ^ static_cast<unsigned>(step)), sizeof other);
  syncWarp();
  return other;
}

// Compiled with -ffp-contract=off, these are what they say.
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }

namespace polymla::emulation {

template <class... Expected, class... Given>
cudaError_t launch(const cudaLaunchConfig_t* config, void (*kernel)(Expected...), const Given&... given) {
  const dim3 grid = config->gridDim;
  const dim3 block = config->blockDim;
  enqueue(config->stream, [=] { run(grid, block, [=] { kernel(given...); }); });
  return cudaSuccess;
}

}  // namespace polymla::emulation

#define cudaLaunchKernelEx polymla::emulation::launch
