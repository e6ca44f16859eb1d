#include "split-results.h"

#include "combine.h"

namespace polymla::cpu {
namespace {

/** Rows that a unit combines: few, so that one request's rows serve many threads. */
constexpr int64_t COMBINE_ROWS = 8;
constexpr int64_t LINE_FLOATS = 16;

int64_t blocks(int64_t rows) { return (rows + COMBINE_ROWS - 1) / COMBINE_ROWS; }

} // namespace

void SplitResults::write(int64_t request, int64_t row, float *values, double lse) const {
  const int64_t kvHead = row / shape_.rowsPerKvHead();
  const int64_t inKvHead = row % shape_.rowsPerKvHead();
  const int64_t s = inKvHead / shape_.group();
  const int64_t head = kvHead * shape_.group() + inKvHead % shape_.group();
  scaleRow(values, shape_.valueDim, factor_ * sinkFactor(sink_, head, lse));
  const int64_t at = (request * shape_.queryTokens + s) * shape_.heads + head;
  kernels_.encode(shape_.outDtype, values, out_ + at * shape_.valueDim * itemSize(shape_.outDtype),
                  shape_.valueDim);
  if (lses_ != nullptr) lses_[(request * shape_.heads + head) * shape_.queryTokens + s] = publicLse(lse);
}

int64_t SplitResults::combineUnits(const SplitWork &work) const {
  return work.anySplit() ? work.requests() * blocks(shape_.rows()) : 0;
}

void SplitResults::combine(const SplitWork &work, int64_t unit, Scratch scratch) const {
  const int64_t request = unit / blocks(shape_.rows());
  const int64_t splits = work.splits(request);
  if (splits <= 1) return;
  const int64_t place = work.place(request);
  if (place < 0) return;
  const int64_t begin = unit % blocks(shape_.rows()) * COMBINE_ROWS;
  const int64_t end = std::min(begin + COMBINE_ROWS, shape_.rows());
  auto *values = reinterpret_cast<float *>(scratch.memory);
  // Other threads wrote the partial states: all are on their way before the first is needed.
  for (int64_t split = 0; split < splits; split++) {
    const float *first = partialOut(place + split, begin), *last = partialOut(place + split, end);
    for (const float *line = first; line < last; line += LINE_FLOATS) __builtin_prefetch(line, 0, 2);
  }
  for (int64_t row = begin; row < end; row++) {
    const double lse = combineParts(
        kernels_, splits, shape_.valueDim,
        [&](int64_t split) { return innerLse(*partialLse(place + split, row)); },
        [&](int64_t split) { return partialOut(place + split, row); }, values);
    write(request, row, values, lse);
  }
}

} // namespace polymla::cpu
