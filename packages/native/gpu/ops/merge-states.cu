#include "merge-states.h"

#include "../dialect/launch.h"
#include "chunks.h"

namespace polymla {
namespace {

constexpr int mostThreads = 256;

/** A block per row of outs, a thread per chunk. */
struct MergeShared {
  double weights[mostThreads];  ///< of parts; negative: empty
  double largestOf[mostThreads / groupLanes];
};

PMLA_KERNEL(mostThreads)
mergeStates(const pmla_merge_states_problem problem, const pmla_merge_states_args args) {
  auto& [weights, largestOf] = *reinterpret_cast<MergeShared*>(sharedMemory());
  const int valueDim = static_cast<int>(problem.value_dim);
  const int size = problem.dtype == PMLA_F32 ? 4 : 2;
  const int outSize = problem.out_dtype == PMLA_F32 ? 4 : 2;
  const int64_t rows = problem.batch * problem.query_tokens * problem.heads;
  for (int64_t row = blockIndex(); row < rows; row += blockCount()) {
    const int64_t head = row % problem.heads;
    const int64_t token = row / problem.heads % problem.query_tokens;
    const int64_t request = row / problem.heads / problem.query_tokens;
    const float* const lses = args.lses + request * args.lses_strides[1] + head * args.lses_strides[2] + token;
    const char* const outs = static_cast<const char*>(args.outs) +
                             (request * args.outs_strides[1] + token * args.outs_strides[2] + head * args.outs_strides[3]) * size;

    double largest = -INFINITY;
    for (int64_t part = threadIndex(); part < problem.parts; part += blockThreads()) {
      const float lse = lses[part * args.lses_strides[0]];
      if (isfinite(lse)) largest = fmax(largest, static_cast<double>(lse));
    }
    for (int step = 16; step > 0; step /= 2) largest = fmax(largest, shuffleXor(largest, step));
    // The last row's were read before the barriers of its sums.
    if (threadIndex() % groupLanes == 0) largestOf[threadIndex() / groupLanes] = largest;
    syncBlock();
    for (int group = 0; group < blockThreads() / groupLanes; group++) largest = fmax(largest, largestOf[group]);

    for (int first = 0; first < valueDim; first += blockThreads() * chunkValues) {
      const int dim = first + threadIndex() * chunkValues;
      float sums[chunkValues] = {};
      double total = 0;
      for (int64_t base = 0; base < problem.parts; base += blockThreads()) {
        const int count = static_cast<int>(min(problem.parts - base, static_cast<int64_t>(blockThreads())));
        syncBlock();
        if (threadIndex() < count) {
          const float lse = lses[(base + threadIndex()) * args.lses_strides[0]];
          weights[threadIndex()] = isfinite(lse) ? exp(lse - largest) : -1;
        }
        syncBlock();
        for (int part = 0; part < count; part++) {
          const double weight = weights[part];
          if (weight < 0) continue;
          total += weight;
          if (dim >= valueDim) continue;
          float values[chunkValues];
          loadChunk(outs, problem.dtype, (base + part) * args.outs_strides[0] + dim, values);
PMLA_UNROLL
          for (int i = 0; i < chunkValues; i++) sums[i] = fmaf(static_cast<float>(weight), values[i], sums[i]);
        }
      }
      const float norm = total > 0 ? static_cast<float>(1 / total) : 0;
      float values[chunkValues];
PMLA_UNROLL
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

void launchMergeStates(const pmla_merge_states_problem& problem, const pmla_merge_states_args& args, rt::Stream stream) {
  const int threads = rowThreads(problem.value_dim / chunkValues, mostThreads);
  launchKernel(mergeStates, "merge_states", problem.batch * problem.query_tokens * problem.heads, threads, sizeof(MergeShared), stream, problem, args);
}

}  // namespace polymla
