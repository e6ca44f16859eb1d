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

template <class T>
__device__ __forceinline__ PageRun pageRunOf(const DecodeParams<T>& params, const ScheduleRow& row, int request) {
  const int length = params.lengthOf(request);
  return {request, length, request == row.beginRequest ? row.beginPage : 0,
          request == row.endRequest ? row.endPage : params.pagesOf(length)};
}

/** Calls `body(run)` for each piece of the row that has pages, in order, having requested the next one's length ahead. */
template <class T, class Body>
__device__ __forceinline__ void forEachPageRun(const DecodeParams<T>& params, const ScheduleRow& row, Body&& body) {
  PageRun next = pageRunOf(params, row, row.beginRequest);
#pragma unroll 1
  for (int request = row.beginRequest; request <= row.endRequest; request++) {
    const PageRun run = next;
    next = pageRunOf(params, row, min(request + 1, row.endRequest));
    if (run.beginPage < run.endPage) body(run);
  }
}

}  // namespace polymla
