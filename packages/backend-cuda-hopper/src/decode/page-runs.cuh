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

/** Calls `body(run)` for each piece of the row that has pages, in order, having requested the next one's length ahead. */
template <class T, class Body>
__device__ __forceinline__ void forEachPageRun(const DecodeParams<T>& params, const ScheduleRow& row, Body&& body) {
  int beginPage = row.beginPage;
  int length = params.lengthOf(row.beginRequest);
#pragma unroll 1
  for (int request = row.beginRequest; request <= row.endRequest; request++) {
    const PageRun run{request, length, beginPage, request == row.endRequest ? row.endPage : params.pagesOf(length)};
    beginPage = 0;
    length = params.lengthOf(min(request + 1, row.endRequest));
    if (run.beginPage < run.endPage) body(run);
  }
}

}  // namespace polymla
