#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../decode/params.h"
#include "../host/launch-dependent.h"
#include "../ptx/dependent-launch.cuh"
#include "combine-splits.h"

namespace polymla {
namespace {

constexpr int threads = 128;
constexpr int warps = threads / 32;
/** A lane has 8 neighbouring values of each half of a row. */
constexpr int half = valueDim / 2;
constexpr int laneValues = valueDim / 32;

template <class T>
struct alignas(16) Eight {
  T values[8];
};

template <class T>
__device__ __forceinline__ void loadValues(const T* row, int lane, float (&values)[laneValues]) {
  const auto* const eights = reinterpret_cast<const Eight<T>*>(row);
  const Eight<T> low = eights[lane];
  const Eight<T> high = eights[half / 8 + lane];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    values[i] = static_cast<float>(low.values[i]);
    values[8 + i] = static_cast<float>(high.values[i]);
  }
}

__device__ __forceinline__ float largestOfWarp(float value) {
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, step));
  return value;
}

/** A warp per query row. */
template <class T>
__global__ void __launch_bounds__(threads) combineSplits(const SplitResults<T> splits) {
  ptx::awaitEarlierKernels();
  ptx::allowNextKernel();
  const int lane = threadIdx.x % 32;
  const int64_t rowsOfRequest = static_cast<int64_t>(splits.queryTokens) * splits.headsQ;
  const int64_t rows = splits.batch * rowsOfRequest;
  for (int64_t index = static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / 32; index < rows; index += static_cast<int64_t>(gridDim.x) * warps) {
    const int64_t request = index / rowsOfRequest;
    const int64_t token = index % rowsOfRequest / splits.headsQ;
    const int64_t head = index % splits.headsQ;
    const int64_t first = splits.numSplits[request];
    const int count = static_cast<int>(splits.numSplits[request + 1] - first);
    const float* const lses = splits.lses + (first * splits.headsQ + head) * splits.queryTokens + token;
    const T* const outs = splits.outs + (first * rowsOfRequest + index % rowsOfRequest) * valueDim;

    float largest = -INFINITY;
    for (int split = lane; split < count; split += 32) {
      const float lse = lses[split * rowsOfRequest];
      if (isfinite(lse)) largest = fmaxf(largest, lse);
    }
    largest = largestOfWarp(largest);

    float sums[laneValues] = {};
    float total = 0;
#pragma unroll 4
    for (int split = 0; split < count; split++) {
      const float lse = lses[split * rowsOfRequest];
      if (!isfinite(lse)) continue;
      const float weight = expf(lse - largest);
      float values[laneValues];
      loadValues(outs + split * rowsOfRequest * valueDim, lane, values);
      total += weight;
#pragma unroll
      for (int i = 0; i < laneValues; i++) sums[i] = fmaf(weight, values[i], sums[i]);
    }

    const float norm = total > 0 ? 1 / total : 0;
    Eight<T> halves[2];
#pragma unroll
    for (int i = 0; i < laneValues; i++) halves[i / 8].values[i % 8] = static_cast<T>(sums[i] * norm);
    auto* const out = reinterpret_cast<Eight<T>*>(splits.out + index * valueDim);
    out[lane] = halves[0];
    out[half / 8 + lane] = halves[1];
    if (lane == 0) {
      splits.lse[(request * splits.headsQ + head) * splits.queryTokens + token] = total > 0 ? largest + logf(total) : INFINITY;
    }
  }
}

}  // namespace

template <class T>
void launchCombineSplits(const SplitResults<T>& splits, cudaStream_t stream) {
  const int64_t rows = splits.batch * splits.queryTokens * splits.headsQ;
  launchDependent(combineSplits<T>, "combine_splits", (rows + warps - 1) / warps, threads, stream, splits);
}

template void launchCombineSplits(const SplitResults<__nv_bfloat16>&, cudaStream_t);
template void launchCombineSplits(const SplitResults<__half>&, cudaStream_t);

}  // namespace polymla
