#pragma once
#include "params.h"

namespace polymla {

/** What copying a piece takes. */
struct PageRun {
  int request;
  int length;
  int beginPage;
  int endPage;
};

/**
 * Calls `body(run)` for each piece of the row that has pages, in order, having requested the next one's length ahead.
 *
 * @param stored the first request's length, as it is in memory
 */
template <class T, class Body>
__device__ __forceinline__ void forEachPageRun(const DecodeParams<T>& params, const ScheduleRow& row, int stored, Body&& body) {
  int beginPage = row.beginPage;
#pragma unroll 1
  for (int request = row.beginRequest; request <= row.endRequest; request++) {
    const int length = params.lengthFrom(stored);
    const PageRun run{request, length, beginPage, request == row.endRequest ? row.endPage : params.pagesOf(length)};
    beginPage = 0;
    stored = params.lengths[min(request + 1, row.endRequest)];
    if (run.beginPage < run.endPage) body(run);
  }
}

}  // namespace polymla
