#include "merge-states.h"

#include "../dialect/launch.h"
#include "chunks.h"

namespace polymla {
namespace {

/** A block of groups, each with a row of outs: every lane computes all weights, so that groups need not wait for each other. */
constexpr int threads = 128;
constexpr int blockRows = threads / groupLanes;
/** Numbers of a row that a group takes at a time, and how many times it does so for how many parts before it waits for the first. */
constexpr int span = groupLanes * chunkValues;
constexpr int spans = 2;
template <uint32_t dtype>
constexpr int partsAtOnce = dtype == PMLA_F32 ? 1 : 2;

/** Largest finite lse of a row's parts; −infinity where all are empty. By a whole block. */
PMLA_DEVICE float largestOf(const float* lses, int64_t stride, int64_t parts, int lane) {
  float largest = -INFINITY;
  for (int64_t part = lane; part < parts; part += groupLanes) {
    const float lse = lses[part * stride];
    if (isfinite(lse)) largest = fmaxf(largest, lse);
  }
  for (int step = groupLanes / 2; step > 0; step /= 2) largest = fmaxf(largest, shuffleXor(largest, step));
  return largest;
}

template <uint32_t dtype>
PMLA_KERNEL(threads)
mergeStates(PMLA_PARAM pmla_merge_states_problem problem, PMLA_PARAM pmla_merge_states_args args) {
  constexpr int size = Chunk<dtype>::elementBytes;
  constexpr int atOnce = partsAtOnce<dtype>;
  const int lane = threadIndex() % groupLanes;
  const int valueDim = static_cast<int>(problem.value_dim);
  const int outSize = problem.out_dtype == PMLA_F32 ? 4 : 2;
  const int64_t rows = problem.batch * problem.query_tokens * problem.heads;
  for (int64_t first = blockIndex() * blockRows; first < rows; first += blockCount() * blockRows) {
    const int64_t own = first + threadIndex() / groupLanes;
    const int64_t row = min(own, rows - 1);
    const int64_t position = row / problem.heads;
    const int64_t head = row - position * problem.heads;
    const int64_t request = problem.query_tokens == 1 ? position : position / problem.query_tokens;
    const int64_t token = position - request * problem.query_tokens;
    const float* const lses = args.lses + request * args.lses_strides[1] + head * args.lses_strides[2] + token;
    const char* const outs = static_cast<const char*>(args.outs) +
                             (request * args.outs_strides[1] + token * args.outs_strides[2] + head * args.outs_strides[3]) * size;

    for (int begin = 0; begin < valueDim; begin += spans * span) {
      float sums[spans][chunkValues] = {};
      float largest = 0;
      double total = 0;
      for (int64_t base = 0; base < problem.parts || base == 0; base += atOnce) {
        Chunk<dtype> chunks[atOnce][spans];
        float lse[atOnce];
PMLA_UNROLL
        for (int part = 0; part < atOnce; part++) {
          lse[part] = INFINITY;
          if (base + part >= problem.parts) continue;
          lse[part] = lses[(base + part) * args.lses_strides[0]];
PMLA_UNROLL
          for (int i = 0; i < spans; i++) {
            const int dim = begin + i * span + lane * chunkValues;
            if (dim < valueDim) chunks[part][i].load(outs + ((base + part) * args.outs_strides[0] + dim) * size);
          }
        }
        // While the first of them are on their way.
        if (base == 0) largest = largestOf(lses, args.lses_strides[0], problem.parts, lane);
PMLA_UNROLL
        for (int part = 0; part < atOnce; part++) {
          if (!isfinite(lse[part])) continue;
          const double weight = exp(static_cast<double>(lse[part]) - largest);
          total += weight;
PMLA_UNROLL
          for (int i = 0; i < spans; i++) {
PMLA_UNROLL
            for (int j = 0; j < chunkValues; j++) sums[i][j] = fmaf(static_cast<float>(weight), chunks[part][i][j], sums[i][j]);
          }
        }
      }
      if (own >= rows) continue;
      const float norm = total > 0 ? static_cast<float>(1 / total) : 0;
PMLA_UNROLL
      for (int i = 0; i < spans; i++) {
        const int dim = begin + i * span + lane * chunkValues;
        if (dim >= valueDim) continue;
        float values[chunkValues];
PMLA_UNROLL
        for (int j = 0; j < chunkValues; j++) values[j] = total > 0 ? sums[i][j] * norm : 0;
        storeNumbers(static_cast<char*>(args.out) + (row * valueDim + dim) * outSize, problem.out_dtype, values);
      }
      if (begin == 0 && lane == 0 && args.lse != nullptr) {
        args.lse[(request * problem.heads + head) * problem.query_tokens + token] =
            total > 0 ? static_cast<float>(largest + log(total)) : INFINITY;
      }
    }
  }
}

}  // namespace

void launchMergeStates(const pmla_merge_states_problem& problem, const pmla_merge_states_args& args, rt::Stream stream) {
  const int64_t blocks = (problem.batch * problem.query_tokens * problem.heads + blockRows - 1) / blockRows;
  const auto launch = [&](auto kernel) { launchKernel(kernel, "merge_states", blocks, threads, 0, stream, problem, args); };
  switch (problem.dtype) {
    case PMLA_BF16: return launch(mergeStates<PMLA_BF16>);
    case PMLA_F16: return launch(mergeStates<PMLA_F16>);
    default: return launch(mergeStates<PMLA_F32>);
  }
}

}  // namespace polymla
