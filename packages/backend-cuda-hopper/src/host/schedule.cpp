#include "schedule.h"

#include <algorithm>

namespace polymla {
namespace {

int64_t pageCount(int32_t length, int pageSize) { return std::max(length - 1, 0) / pageSize + 1; }

}  // namespace

Schedule computeSchedule(const std::vector<int32_t>& lengths, int partitions, int pageSize, int fixedOverhead) {
  const auto batch = static_cast<int32_t>(lengths.size());
  int64_t cost = 0;
  for (const int32_t length : lengths) cost += pageCount(length, pageSize) + fixedOverhead;
  const int64_t payload = (cost + partitions - 1) / partitions + fixedOverhead;

  Schedule result;
  result.numSplits.assign(1, 0);
  const auto isSplit = [&](int32_t request, int32_t current, int64_t page) {
    return (request == current && page > 0) || result.numSplits[request + 1] - result.numSplits[request] > 1;
  };
  const auto endPageOf = [&](int32_t request) {
    return request < 0 || lengths[request] == 0 ? 0 : pageCount(lengths[request], pageSize);
  };
  int32_t request = 0;
  int32_t split = 0;
  int64_t page = 0;
  for (int partition = 0; partition < partitions; partition++) {
    ScheduleRow row{};
    row.beginRequest = request;
    row.beginPage = static_cast<int32_t>(page);
    row.beginSplit = split;

    int64_t left = payload;
    while (request < batch) {
      const int64_t pieceCost = pageCount(lengths[request], pageSize) - page + fixedOverhead;
      if (pieceCost > left) break;
      left -= pieceCost;
      result.numSplits.push_back(result.numSplits.back() + split + 1);
      request++;
      page = 0;
      split = 0;
    }
    if (request < batch && left > fixedOverhead) {
      page += left - fixedOverhead;
      split++;
    }

    row.endRequest = page > 0 ? request : request - 1;
    row.endPage = static_cast<int32_t>(page > 0 ? page : endPageOf(row.endRequest));
    const bool idle = row.beginRequest > row.endRequest;
    row.firstIsSplit = !idle && isSplit(row.beginRequest, request, page);
    row.lastIsSplit = !idle && isSplit(row.endRequest, request, page);
    result.rows.push_back(row);
  }
  return result;
}

}  // namespace polymla
