#include "merge-states.h"

#include "rows.h"

namespace polymla {
namespace {

/** Largest finite lse of a row's parts; −infinity where all are empty. By a whole block. */
template <int rowLanes>
PMLA_DEVICE float largestOf(const float* lses, int64_t stride, int64_t parts, int lane) {
  float largest = -INFINITY;
  for (int64_t part = lane; part < parts; part += rowLanes) {
    const float lse = lses[part * stride];
    if (isfinite(lse)) largest = fmaxf(largest, lse);
  }
  for (int step = rowLanes / 2; step > 0; step /= 2) largest = fmaxf(largest, shuffleXor(largest, step));
  return largest;
}

/** `atOnce`: parts whose numbers are asked for before the first ones are waited for. */
template <uint32_t dtype, int rowLanes, int atOnce>
PMLA_KERNEL(rowsThreads)
mergeStates(PMLA_PARAM pmla_merge_states_problem problem, PMLA_PARAM pmla_merge_states_args args) {
  constexpr int size = Chunk<dtype>::elementBytes;
  constexpr int step = span<rowLanes>;
  const int lane = threadIndex() % rowLanes;
  const int valueDim = static_cast<int>(problem.value_dim);
  const int outSize = problem.out_dtype == PMLA_F32 ? 4 : 2;
  const int64_t rows = problem.batch * problem.query_tokens * problem.heads;
  for (int64_t first = blockIndex() * blockRows<rowLanes>; first < rows; first += blockCount() * blockRows<rowLanes>) {
    const int64_t own = first + threadIndex() / rowLanes;
    const int64_t row = min(own, rows - 1);
    const int64_t position = row / problem.heads;
    const int64_t head = row - position * problem.heads;
    const int64_t request = problem.query_tokens == 1 ? position : position / problem.query_tokens;
    const int64_t token = position - request * problem.query_tokens;
    const float* const lses = args.lses + request * args.lses_strides[1] + head * args.lses_strides[2] + token;
    const char* const outs = static_cast<const char*>(args.outs) +
                             (request * args.outs_strides[1] + token * args.outs_strides[2] + head * args.outs_strides[3]) * size;

    for (int begin = 0; begin < valueDim; begin += spans<rowLanes> * step) {
      float sums[spans<rowLanes>][chunkValues] = {};
      float largest = 0;
      double total = 0;
      for (int64_t base = 0; base < problem.parts || base == 0; base += atOnce) {
        Chunk<dtype> chunks[atOnce][spans<rowLanes>];
        float lse[atOnce];
PMLA_UNROLL
        for (int part = 0; part < atOnce; part++) {
          lse[part] = INFINITY;
          if (base + part >= problem.parts) continue;
          lse[part] = lses[(base + part) * args.lses_strides[0]];
PMLA_UNROLL
          for (int i = 0; i < spans<rowLanes>; i++) {
            const int dim = begin + i * step + lane * chunkValues;
            if (dim < valueDim) chunks[part][i].load(outs + ((base + part) * args.outs_strides[0] + dim) * size);
          }
        }
        // While the first of them are on their way.
        if (base == 0) largest = largestOf<rowLanes>(lses, args.lses_strides[0], problem.parts, lane);
PMLA_UNROLL
        for (int part = 0; part < atOnce; part++) {
          if (!isfinite(lse[part])) continue;
          const double weight = exp(static_cast<double>(lse[part]) - largest);
          total += weight;
PMLA_UNROLL
          for (int i = 0; i < spans<rowLanes>; i++) {
PMLA_UNROLL
            for (int j = 0; j < chunkValues; j++) sums[i][j] = fmaf(static_cast<float>(weight), chunks[part][i][j], sums[i][j]);
          }
        }
      }
      if (own >= rows) continue;
      const float norm = total > 0 ? static_cast<float>(1 / total) : 0;
PMLA_UNROLL
      for (int i = 0; i < spans<rowLanes>; i++) {
        const int dim = begin + i * step + lane * chunkValues;
        if (dim >= valueDim) continue;
        float values[chunkValues];
PMLA_UNROLL
        for (int j = 0; j < chunkValues; j++) values[j] = sums[i][j] * norm;
        storeNumbers(static_cast<char*>(args.out) + (row * valueDim + dim) * outSize, problem.out_dtype, values);
      }
      if (begin == 0 && lane == 0 && args.lse != nullptr) {
        args.lse[(request * problem.heads + head) * problem.query_tokens + token] =
            total > 0 ? static_cast<float>(largest + log(total)) : INFINITY;
      }
    }
  }
}

template <uint32_t dtype>
void launchOf(const pmla_merge_states_problem& problem, const pmla_merge_states_args& args, rt::Stream stream) {
  constexpr int halves = dtype == PMLA_F32 ? 1 : 2;
  launchRows(mergeStates<dtype, 32, 2 * halves>, mergeStates<dtype, 16, halves>, "merge_states",
             problem.batch * problem.query_tokens * problem.heads, stream, problem, args);
}

}  // namespace

void launchMergeStates(const pmla_merge_states_problem& problem, const pmla_merge_states_args& args, rt::Stream stream) {
  switch (problem.dtype) {
    case PMLA_BF16: return launchOf<PMLA_BF16>(problem, args, stream);
    case PMLA_F16: return launchOf<PMLA_F16>(problem, args, stream);
    default: return launchOf<PMLA_F32>(problem, args, stream);
  }
}

}  // namespace polymla
