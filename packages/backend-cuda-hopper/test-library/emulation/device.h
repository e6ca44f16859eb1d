#pragma once
// Included before a CUDA source that a C++ compiler compiles: the threads of a block run as fibers, one after the other.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime.h"

#define PMLA_DIALECT_GIVEN
#define PMLA_KERNEL(threads) void
#define PMLA_KERNEL_HELD(threads, blocks) void
#define PMLA_DEVICE inline
#define PMLA_BOTH inline
#define PMLA_UNROLL
#define PMLA_PARAM const

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

/** What a launch asked for. */
inline std::vector<unsigned char> shared;

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

// The dialect of native/gpu, as far as ops need it.
namespace polymla {

inline int threadIndex() { return static_cast<int>(threadIdx.x); }
inline int blockThreads() { return static_cast<int>(blockDim.x); }
inline int64_t blockIndex() { return blockIdx.x; }
inline int64_t blockCount() { return gridDim.x; }
inline void syncBlock() { emulation::syncBlock(); }
template <class T>
T shuffleXor(T value, int step) {
  return __shfl_xor_sync(~0u, value, step);
}
inline unsigned char* sharedMemory() { return emulation::shared.data(); }
inline float floatOfF16(uint16_t code) { return __half2float(__ushort_as_half(code)); }
inline uint16_t f16OfFloat(float value) { return __half_as_ushort(__float2half_rn(value)); }
// Compiled with -ffp-contract=off, these are what they say.
inline double product(double a, double b) { return a * b; }
inline double sum(double a, double b) { return a + b; }

}  // namespace polymla

namespace polymla::emulation {

template <class... Expected, class... Given>
cudaError_t launch(const cudaLaunchConfig_t* config, void (*kernel)(Expected...), const Given&... given) {
  const dim3 grid = config->gridDim;
  const dim3 block = config->blockDim;
  const size_t bytes = config->dynamicSmemBytes;
  enqueue(config->stream, [=] {
    shared.assign(bytes, 0xff);
    run(grid, block, [=] { kernel(given...); });
  });
  return cudaSuccess;
}

}  // namespace polymla::emulation

#define cudaLaunchKernelEx polymla::emulation::launch
