#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "schedule.h"

namespace polymla::cpu {

/** A run of pages of one request, which a partition attends to and reduces to one partial state. */
struct Piece {
  int64_t request;
  int64_t length; // tokens of the request
  int64_t beginPage;
  int64_t endPage; // exclusive
  /** Of the partial state in the workspace; −1: the piece is the whole request and needs none. */
  int64_t place;
};

/**
 * Places of partial states. A request of n splits takes n neighbours, and those that are not split take none, because
 * with S splits in the requests before it, r of them, at most 2 · (S − r) belong to split ones.
 *
 * @param before splits of all requests before this one
 */
inline int64_t firstPlace(int64_t request, int64_t before) {
  return std::min(2 * (before - request), before);
}

/** Places that a plan needs, with no request of more than `maxPages` pages. */
inline double mostPlaces(double maxBatch, double maxPages, double splitPages, double partitions) {
  // Unless they are cut at fixed places, requests are cut only where a partition ends.
  const double perRequest = std::floor((maxPages - 1) / std::max(splitPages, 1.0));
  const double cuts = maxBatch * std::max(perRequest, 0.0);
  const double most = splitPages > 0 ? cuts : std::min(cuts, partitions - 1);
  return std::min(2 * most, maxBatch + most);
}

/** A schedule in device memory and what it was computed from. Rows that fit no such request are passed over. */
class SplitWork {
public:
  SplitWork(const pmla_schedule &schedule, int64_t partitions, int64_t batch, int64_t pageSize,
            int64_t splitPages, int64_t places, const Lengths &lengths)
      : schedule_(schedule), partitions_(partitions), batch_(batch), pageSize_(pageSize),
        splitPages_(splitPages), places_(places), lengths_(lengths) {}

  /** Partitions with work come first. */
  int64_t busyPartitions() const {
    int64_t busy = 0;
    while (busy < partitions_ && row(busy)[BEGIN_REQUEST] <= row(busy)[END_REQUEST]) busy++;
    return busy;
  }

  int64_t requests() const { return batch_; }

  bool anySplit() const { return schedule_.num_splits[batch_] > batch_; }

  int64_t splits(int64_t request) const {
    return static_cast<int64_t>(schedule_.num_splits[request + 1]) - schedule_.num_splits[request];
  }

  /** Place of the first of `splits(request)` > 1 partial states; −1 when the workspace is too small for them. */
  int64_t place(int64_t request) const {
    const int64_t first = firstPlace(request, schedule_.num_splits[request]);
    return first >= 0 && first + splits(request) <= places_ ? first : -1;
  }

  /** Visits the pieces of a partition in order. */
  template <class Visit> void forEachPiece(int64_t partition, Visit visit) const {
    const int32_t *columns = row(partition);
    const int64_t first = columns[BEGIN_REQUEST];
    const int64_t last = columns[END_REQUEST];
    if (first < 0 || last >= batch_) return;
    for (int64_t request = first; request <= last; request++) {
      const int64_t length = lengths_[request];
      const int64_t pages = (length + pageSize_ - 1) / pageSize_;
      const int64_t end = request == last ? std::clamp<int64_t>(columns[END_PAGE], 0, pages) : pages;
      int64_t page = request == first ? std::clamp<int64_t>(columns[BEGIN_PAGE], 0, end) : 0;
      int64_t split = request == first ? columns[BEGIN_SPLIT] : 0;
      const int64_t splitCount = splits(request);
      const int64_t firstPlace = splitCount > 1 ? place(request) : -1;
      if (splitCount > 1 && firstPlace < 0) continue;
      do {
        const int64_t begin = page;
        page = splitPages_ > 0 ? std::min(page + splitPages_, end) : end;
        if (split < 0 || split >= splitCount) break;
        visit(Piece{request, length, begin, page, splitCount > 1 ? firstPlace + split : -1});
        split++;
      } while (page < end);
    }
  }

private:
  const int32_t *row(int64_t partition) const { return schedule_.rows + partition * SCHEDULE_STRIDE; }

  pmla_schedule schedule_;
  int64_t partitions_;
  int64_t batch_;
  int64_t pageSize_;
  int64_t splitPages_;
  int64_t places_;
  Lengths lengths_;
};

} // namespace polymla::cpu
