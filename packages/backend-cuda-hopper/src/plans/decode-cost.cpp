#include "decode-cost.h"

#include <algorithm>
#include <limits>

#include "kit/schedule-walk.h"

namespace polymla {
namespace {

constexpr int64_t mostTried = 16;

struct EqualRequests {
  int64_t batch;
  int64_t each;
  int64_t pages(int64_t) const { return each; }
  bool isEmpty(int64_t) const { return false; }
};

bool areEqual(const pmla_load& load) { return load.total_pages == load.batch * load.longest_pages; }

int64_t costliest(const EqualRequests& requests, const ScheduleParams& params, int64_t pieceCost) {
  ScheduleWalk walk(requests, params, payloadOf(requests, params));
  int64_t worst = 0;
  for (int64_t partition = 0; partition < params.partitions; partition++) {
    const ScheduleRow row = walk.next([](int64_t, int64_t) {});
    const int64_t pieces = row.endRequest - row.beginRequest + 1;
    const int64_t splits = pieces == 1 ? row.firstIsSplit : row.firstIsSplit + row.lastIsSplit;
    const int64_t pages = (pieces - 1) * requests.each + row.endPage - row.beginPage;
    worst = std::max(worst, pages + pieces * pieceCost + splits * (splitOverhead - pieceCost));
  }
  return worst;
}

}  // namespace

int64_t decodeOverhead(const pmla_load& load, int64_t partitions, int64_t pieceCost) {
  if (!areEqual(load)) {
    const int64_t fair = (3 * load.total_pages + 2 * partitions - 1) / (2 * partitions);
    return load.batch > partitions ? pieceCost : std::clamp(fair, pieceCost, splitOverhead);
  }
  const EqualRequests requests{load.batch, load.longest_pages};
  int64_t best = 0;
  int64_t bestCost = std::numeric_limits<int64_t>::max();
  for (int64_t overhead = 0; overhead <= mostTried; overhead++) {
    const int64_t cost = costliest(requests, {partitions, overhead, 0}, pieceCost);
    if (cost >= bestCost) continue;
    best = overhead;
    bestCost = cost;
  }
  return best;
}

ScheduleGuess guessSchedule(const pmla_load& load, int64_t partitions, int64_t overhead) {
  if (!areEqual(load)) return {};
  const EqualRequests requests{load.batch, load.longest_pages};
  const ScheduleParams params{partitions, overhead, 0};
  const ScheduleRow first = ScheduleWalk(requests, params, payloadOf(requests, params)).next([](int64_t, int64_t) {});
  return ScheduleGuess::of(load.batch, load.longest_pages, first.endRequest * load.longest_pages + first.endPage);
}

}  // namespace polymla
