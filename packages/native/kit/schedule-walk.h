#pragma once
#include <cstdint>

#include "both.h"
#include "schedule-row.h"

namespace polymla {

/** What a schedule is computed with; computeSchedule in `@polymla/core` says what they mean and why they work. */
struct ScheduleParams {
  int64_t partitions;  ///< ≥ 1
  int64_t fixedOverhead;
  int64_t splitPages;  ///< 0: cut where partitions end

  PMLA_BOTH int64_t splitsOf(int64_t pages) const {
    return splitPages == 0 ? 1 : (pages + splitPages - 1) / splitPages;
  }
};

/** Pages of a request: 0 when it is empty, though it is charged for 1. */
PMLA_BOTH int64_t pagesOf(int64_t length, int64_t pageSize) {
  return length <= 0 ? 0 : (length - 1) / pageSize + 1;
}

/** Sums over a batch, in any order. */
struct ScheduleTotals {
  int64_t pages = 0;
  int64_t splits = 0;
  int64_t longest = 0;

  /** @param count pages that the request is charged for */
  PMLA_BOTH void add(int64_t count, const ScheduleParams& params) {
    pages += count;
    splits += params.splitsOf(count);
    longest = longest > count ? longest : count;
  }
};

/** The costs among which the payload of a partition is the smallest that suffices. */
struct PayloadRange {
  int64_t low;
  int64_t high;  ///< suffices

  PMLA_BOTH PayloadRange(const ScheduleTotals& totals, const ScheduleParams& params) {
    const int64_t cost = totals.pages + totals.splits * params.fixedOverhead;
    const int64_t mean = (cost + params.partitions - 1) / params.partitions;
    const int64_t longest = totals.longest < params.splitPages ? totals.longest : params.splitPages;
    const int64_t largest = longest + params.fixedOverhead;
    const bool balanced = params.splitPages == 0;
    low = balanced ? mean + params.fixedOverhead : mean > largest ? mean : largest;
    high = balanced ? low : mean + largest - 1;
  }
};

/**
 * Whether a walk over whole splits fits into the partitions when none may cost more than `payload`.
 *
 * @param requests `batch` and `pages(i)`, which a request is charged for
 */
template <class Requests>
PMLA_BOTH bool suffices(int64_t payload, const Requests& requests, const ScheduleParams& params) {
  const int64_t wholeCost = params.splitPages + params.fixedOverhead;
  const int64_t wholesEach = payload / wholeCost;
  int64_t needed = 1;
  int64_t left = payload;
  for (int64_t request = 0; request < requests.batch; request++) {
    const int64_t pages = requests.pages(request);
    // All splits but the last are whole: they are placed by division, not one by one.
    const int64_t wholes = params.splitsOf(pages) - 1;
    const int64_t fitting = left / wholeCost;
    if (wholes <= fitting) {
      left -= wholes * wholeCost;
    } else {
      const int64_t opened = (wholes - fitting + wholesEach - 1) / wholesEach;
      needed += opened;
      left = payload - (wholes - fitting - (opened - 1) * wholesEach) * wholeCost;
    }
    const int64_t lastCost = pages - wholes * params.splitPages + params.fixedOverhead;
    if (lastCost > left) {
      needed++;
      left = payload;
    }
    left -= lastCost;
  }
  return needed <= params.partitions;
}

/** The payload of a partition, by one thread. */
template <class Requests>
int64_t payloadOf(const Requests& requests, const ScheduleParams& params) {
  ScheduleTotals totals;
  for (int64_t request = 0; request < requests.batch; request++) totals.add(requests.pages(request), params);
  PayloadRange range(totals, params);
  while (range.low < range.high) {
    const int64_t middle = range.low + (range.high - range.low) / 2;
    if (suffices(middle, requests, params)) {
      range.high = middle;
    } else {
      range.low = middle + 1;
    }
  }
  return range.low;
}

/** Goes over a batch partition by partition: the rows of computeSchedule in `@polymla/core`, bit for bit. */
template <class Requests>
class ScheduleWalk {
 public:
  /** @param requests `batch`, `pages(i)` and `isEmpty(i)` */
  PMLA_BOTH ScheduleWalk(const Requests& requests, const ScheduleParams& params, int64_t payload)
      : requests_(requests), params_(params), payload_(payload) {}

  /** The next partition's row, an idle one past the end. Calls `finished(request, splits)`, splits of all requests up to it. */
  template <class Finished>
  PMLA_BOTH ScheduleRow next(Finished&& finished) {
    const int64_t begin = request_;
    ScheduleRow row{};
    row.beginRequest = static_cast<int32_t>(begin);
    row.beginPage = static_cast<int32_t>(page_);
    row.beginSplit = static_cast<int32_t>(split_);

    int64_t left = payload_;
    int64_t splitsOfFirst = 0;
    int64_t splitsOfLast = 0;
    for (; request_ < requests_.batch; request_++) {
      const int64_t pages = requests_.pages(request_) - page_;
      const int64_t pieces = params_.splitsOf(pages);
      const int64_t cost = pages + pieces * params_.fixedOverhead;
      if (cost > left) break;
      left -= cost;
      splitsOfLast = split_ + pieces;
      if (request_ == begin) splitsOfFirst = splitsOfLast;
      splits_ += splitsOfLast;
      finished(request_, splits_);
      page_ = 0;
      split_ = 0;
    }
    if (request_ < requests_.batch) takePart(left);

    const bool cut = page_ > 0;
    const int64_t end = cut ? request_ : request_ - 1;
    const bool idle = begin > end;
    row.endRequest = static_cast<int32_t>(end);
    row.endPage = static_cast<int32_t>(cut ? page_ : end < 0 || requests_.isEmpty(end) ? 0 : requests_.pages(end));
    row.firstIsSplit = !idle && (begin == request_ || splitsOfFirst > 1);
    row.lastIsSplit = !idle && (cut || splitsOfLast > 1);
    return row;
  }

 private:
  /** Of the current request, as much as what is left of a payload pays for. */
  PMLA_BOTH void takePart(int64_t left) {
    if (params_.splitPages > 0) {
      const int64_t taken = left / (params_.splitPages + params_.fixedOverhead);
      page_ += taken * params_.splitPages;
      split_ += taken;
    } else if (left > params_.fixedOverhead) {
      page_ += left - params_.fixedOverhead;
      split_++;
    }
  }

  const Requests& requests_;
  const ScheduleParams params_;
  const int64_t payload_;
  int64_t request_ = 0;
  int64_t page_ = 0;
  int64_t split_ = 0;
  int64_t splits_ = 0;  ///< of the requests behind
};

}  // namespace polymla
