#include "chunks.cuh"
#include "launch.cuh"
#include "merge-states.h"

namespace polymla {
namespace {

constexpr int mostThreads = 256;

/** A block per row of outs, a thread per chunk. */
__global__ void __launch_bounds__(mostThreads) mergeStates(const pmla_merge_states_problem problem, const pmla_merge_states_args args) {
  __shared__ double weights[mostThreads];  ///< of parts; negative: empty
  __shared__ double largestOf[mostThreads / 32];
  const int valueDim = static_cast<int>(problem.value_dim);
  const int size = problem.dtype == PMLA_F32 ? 4 : 2;
  const int outSize = problem.out_dtype == PMLA_F32 ? 4 : 2;
  const int64_t rows = problem.batch * problem.query_tokens * problem.heads;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t head = row % problem.heads;
    const int64_t token = row / problem.heads % problem.query_tokens;
    const int64_t request = row / problem.heads / problem.query_tokens;
    const float* const lses = args.lses + request * args.lses_strides[1] + head * args.lses_strides[2] + token;
    const char* const outs = static_cast<const char*>(args.outs) +
                             (request * args.outs_strides[1] + token * args.outs_strides[2] + head * args.outs_strides[3]) * size;

    double largest = -INFINITY;
    for (int64_t part = threadIdx.x; part < problem.parts; part += blockDim.x) {
      const float lse = lses[part * args.lses_strides[0]];
      if (isfinite(lse)) largest = fmax(largest, static_cast<double>(lse));
    }
    for (int step = 16; step > 0; step /= 2) largest = fmax(largest, __shfl_xor_sync(~0u, largest, step));
    __syncthreads();
    if (threadIdx.x % 32 == 0) largestOf[threadIdx.x / 32] = largest;
    __syncthreads();
    for (unsigned warp = 0; warp < blockDim.x / 32; warp++) largest = fmax(largest, largestOf[warp]);

    for (int first = 0; first < valueDim; first += blockDim.x * chunkValues) {
      const int dim = first + threadIdx.x * chunkValues;
      float sums[chunkValues] = {};
      double total = 0;
      for (int64_t base = 0; base < problem.parts; base += blockDim.x) {
        const int count = static_cast<int>(min(problem.parts - base, static_cast<int64_t>(blockDim.x)));
        __syncthreads();
        if (static_cast<int>(threadIdx.x) < count) {
          const float lse = lses[(base + threadIdx.x) * args.lses_strides[0]];
          weights[threadIdx.x] = isfinite(lse) ? exp(lse - largest) : -1;
        }
        __syncthreads();
        for (int part = 0; part < count; part++) {
          const double weight = weights[part];
          if (weight < 0) continue;
          total += weight;
          if (dim >= valueDim) continue;
          float values[chunkValues];
          loadChunk(outs, problem.dtype, (base + part) * args.outs_strides[0] + dim, values);
#pragma unroll
          for (int i = 0; i < chunkValues; i++) sums[i] = fmaf(static_cast<float>(weight), values[i], sums[i]);
        }
      }
      const float norm = total > 0 ? static_cast<float>(1 / total) : 0;
      float values[chunkValues];
#pragma unroll
      for (int i = 0; i < chunkValues; i++) values[i] = total > 0 ? sums[i] * norm : 0;
      if (dim < valueDim) {
        storeChunk(static_cast<char*>(args.out) + (row * valueDim + dim) * outSize, problem.out_dtype, values);
      }
      if (dim == 0 && args.lse != nullptr) {
        args.lse[(request * problem.heads + head) * problem.query_tokens + token] =
            total > 0 ? static_cast<float>(largest + log(total)) : INFINITY;
      }
    }
  }
}

}  // namespace

void launchMergeStates(const pmla_merge_states_problem& problem, const pmla_merge_states_args& args, cudaStream_t stream) {
  const int threads = rowThreads(problem.value_dim / chunkValues, mostThreads);
  launchKernel(mergeStates, "merge_states", problem.batch * problem.query_tokens * problem.heads, threads, stream, problem, args);
}

}  // namespace polymla
