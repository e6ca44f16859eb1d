#pragma once
#include "attend.h"

namespace polymla {

/** Does all pieces of a unit: the part of each request that the partition's row names, in splits. */
template <class Kernel> PMLA_DEVICE void attendUnit(const AttendParams &p, int64_t unit) {
  const int64_t inPartition = unit % p.unitsOfPartition();
  const auto partition = static_cast<int32_t>(unit / p.unitsOfPartition());
  const RowBlock rows{inPartition % p.rowBlocks * Kernel::rows, inPartition / p.rowBlocks};
  const bool isScheduled = p.schedule != nullptr;
  ScheduleRow row{partition, partition, 0, INT32_MAX, 0, 0, 0, 0};
  if (isScheduled) row = p.schedule[partition];
  if (row.beginRequest < 0 || row.endRequest >= p.batch) return;
  Kernel kernel(p);
  for (int64_t request = row.beginRequest; request <= row.endRequest; request++) {
    const int64_t length = p.length(request);
    const int64_t pages = isScheduled ? (length + p.pageTokens - 1) / p.pageTokens : 1;
    const int64_t lastPage = request == row.endRequest ? min(max(int64_t{row.endPage}, int64_t{0}), pages) : pages;
    int64_t page = request == row.beginRequest ? min(max(int64_t{row.beginPage}, int64_t{0}), lastPage) : 0;
    int64_t split = request == row.beginRequest ? row.beginSplit : 0;
    const int64_t splits = isScheduled ? int64_t{p.numSplits[request + 1]} - p.numSplits[request] : 1;
    const int64_t place = splits > 1 ? p.place(request, splits) : -1;
    if (splits > 1 && place < 0) continue;
    do {
      const int64_t begin = page;
      page = p.splitPages > 0 ? min(page + p.splitPages, lastPage) : lastPage;
      if (split < 0 || split >= splits) break;
      const int64_t end = isScheduled ? min(page * p.pageTokens, length) : length;
      kernel.attend({request, begin * p.pageTokens, end, length, splits > 1 ? place + split : -1}, rows);
      split++;
    } while (page < lastPage);
  }
}

template <class T, class Tiles, bool Direct> PMLA_KERNEL(attendThreads) attendKernel(PMLA_PARAM AttendParams params) {
  if constexpr (sizeof(typename T::Storage) == 4 || compilesTiles(sizesOf<Tiles>())) {
    const int64_t units = params.units();
    for (int64_t unit = blockIndex(); unit < units; unit += blockCount()) {
      attendUnit<Attend<T, Tiles, Direct>>(params, unit);
    }
  } else {
    notForThisDevice();
  }
}

} // namespace polymla
