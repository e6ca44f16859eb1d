#include "cost-model.h"

#include <algorithm>
#include <limits>

namespace polymla {
namespace {

constexpr int64_t pieceCost = 1;
constexpr int64_t splitCost = 7;
constexpr int maxOverhead = 16;

int64_t costliest(const Schedule& schedule, const std::vector<int32_t>& lengths, int pageSize) {
  int64_t worst = 0;
  for (const ScheduleRow& row : schedule.rows) {
    int64_t cost = 0;
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const int begin = request == row.beginRequest ? row.beginPage : 0;
      const int end = request == row.endRequest ? row.endPage : (lengths[request] + pageSize - 1) / pageSize;
      const bool isSplit = request == row.beginRequest ? row.firstIsSplit : request == row.endRequest && row.lastIsSplit;
      cost += end - begin + pieceCost + (isSplit ? splitCost : 0);
    }
    worst = std::max(worst, cost);
  }
  return worst;
}

}  // namespace

Schedule cheapestSchedule(const std::vector<int32_t>& lengths, int partitions, int pageSize) {
  Schedule best;
  int64_t bestCost = std::numeric_limits<int64_t>::max();
  for (int overhead = 0; overhead <= maxOverhead; overhead++) {
    Schedule candidate = computeSchedule(lengths, partitions, pageSize, overhead);
    const int64_t cost = costliest(candidate, lengths, pageSize);
    if (cost >= bestCost) continue;
    best = std::move(candidate);
    bestCost = cost;
  }
  return best;
}

}  // namespace polymla
