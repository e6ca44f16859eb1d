#pragma once
#include "attend-results.h"

namespace polymla {

constexpr int combineThreads = 128;
/** Numbers of a row that a thread combines at a time: a block has 512. */
constexpr int combineEach = 4;

/** A block per row of a request with several splits: their partial results, in order. */
static PMLA_KERNEL(combineThreads) combineKernel(PMLA_PARAM AttendParams p) {
  const int64_t allRows = p.queryTokens * p.heads;
  const int64_t rowsOfHead = allRows / p.headsKv;
  for (int64_t unit = blockIndex(); unit < p.batch * allRows; unit += blockCount()) {
    const int64_t request = unit / allRows;
    const int64_t row = unit % allRows;
    const int64_t splits = int64_t{p.numSplits[request + 1]} - p.numSplits[request];
    if (splits <= 1) continue;
    const int64_t place = p.place(request, splits);
    if (place < 0) continue;
    const float *const lses = p.partialLse + place * allRows + row;
    float largest = minusInfinity;
    for (int64_t split = 0; split < splits; split++) largest = fmaxf(largest, lses[split * allRows]);
    const bool seen = largest > minusInfinity;

    float total = 0;
    for (int64_t split = 0; seen && split < splits; split++) total += expf(lses[split * allRows] - largest);
    const float lse = seen ? largest + logf(total) : minusInfinity;
    const int64_t inHead = row % rowsOfHead;
    const int64_t token = inHead / p.group();
    const int64_t head = row / rowsOfHead * p.group() + inHead % p.group();
    float whole = seen ? p.outScale / total : 0;
    if (seen && p.sink != nullptr) whole /= 1 + expf(p.sink[head] - lse);

    const int64_t at = ((request * p.queryTokens + token) * p.heads + head) * p.valueDim;
    for (int dim = threadIndex() * combineEach; dim < p.valueDim; dim += combineThreads * combineEach) {
      float sums[combineEach] = {};
      for (int64_t split = 0; seen && split < splits; split++) {
        const float lseOfSplit = lses[split * allRows];
        if (!(lseOfSplit > minusInfinity)) continue;
        const float weight = expf(lseOfSplit - largest);
        const float4 part = *reinterpret_cast<const float4 *>(p.partialOut + ((place + split) * allRows + row) * p.valueDim + dim);
        sums[0] += weight * part.x;
        sums[1] += weight * part.y;
        sums[2] += weight * part.z;
        sums[3] += weight * part.w;
      }
      PMLA_UNROLL
      for (int i = 0; i < combineEach; i++) {
        const float number = sums[i] * whole;
        if (p.outType == PMLA_F32) static_cast<float *>(p.out)[at + dim + i] = number;
        else static_cast<uint16_t *>(p.out)[at + dim + i] = p.outType == PMLA_BF16 ? Bf16::store(number) : f16OfFloat(number);
      }
    }
    if (threadIndex() == 0 && p.lse != nullptr) {
      p.lse[(request * p.heads + head) * p.queryTokens + token] = seen ? lse : INFINITY;
    }
  }
}

} // namespace polymla
