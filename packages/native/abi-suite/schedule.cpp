#include "schedule.h"

#include <algorithm>

namespace polymla::suite {

namespace {

struct Walk {
  const std::vector<int64_t> &pages;
  int64_t overhead, splitPages;

  int64_t pagesOf(int64_t request) const { return std::max<int64_t>(pages[static_cast<size_t>(request)], 1); }
  int64_t piecesOf(int64_t left) const { return splitPages == 0 ? 1 : (left + splitPages - 1) / splitPages; }

  /** Goes as far as a partition of that payload does. */
  void advance(int64_t &request, int64_t &page, int64_t &split, int64_t payload) const {
    const auto batch = static_cast<int64_t>(pages.size());
    while (request < batch) {
      const int64_t left = pagesOf(request) - page;
      const int64_t cost = left + piecesOf(left) * overhead;
      if (cost > payload) break;
      payload -= cost;
      request++;
      page = split = 0;
    }
    if (request == batch) return;
    if (splitPages > 0) {
      const int64_t taken = payload / (splitPages + overhead);
      page += taken * splitPages;
      split += taken;
    } else if (payload > overhead) {
      page += payload - overhead;
      split++;
    }
  }

  bool covers(int64_t partitions, int64_t payload) const {
    int64_t request = 0, page = 0, split = 0;
    for (int64_t i = 0; i < partitions; i++) advance(request, page, split, payload);
    return request == static_cast<int64_t>(pages.size());
  }
};

} // namespace

Schedule makeSchedule(const std::vector<int64_t> &pages, int64_t rows, int64_t partitions, int64_t overhead,
                      int64_t splitPages) {
  const Walk walk{pages, overhead, splitPages};
  const auto batch = static_cast<int64_t>(pages.size());
  int64_t cost = 0;
  for (int64_t i = 0; i < batch; i++) cost += walk.pagesOf(i) + walk.piecesOf(walk.pagesOf(i)) * overhead;
  int64_t payload = (cost + partitions - 1) / partitions + (splitPages == 0 ? overhead : 0);
  while (!walk.covers(partitions, payload)) payload++;

  // Where each row begins; the walk says how many splits a request has.
  struct Place {
    int64_t request = 0, page = 0, split = 0;
  };
  std::vector<Place> begins(static_cast<size_t>(rows) + 1);
  std::vector<int64_t> splits(static_cast<size_t>(batch), 0);
  for (size_t row = 0; row < static_cast<size_t>(rows); row++) {
    Place at = begins[row];
    const Place from = at;
    walk.advance(at.request, at.page, at.split, payload);
    for (int64_t r = from.request; r < std::min(at.request, batch); r++) {
      const Place first = r == from.request ? from : Place{r, 0, 0};
      splits[static_cast<size_t>(r)] = first.split + walk.piecesOf(walk.pagesOf(r) - first.page);
    }
    begins[row + 1] = at;
  }
  Schedule made;
  made.numSplits.push_back(0);
  for (const int64_t count : splits) made.numSplits.push_back(made.numSplits.back() + static_cast<int32_t>(count));
  for (size_t row = 0; row < static_cast<size_t>(rows); row++) {
    const Place &from = begins[row], &to = begins[row + 1];
    const int64_t last = to.page > 0 ? to.request : to.request - 1;
    const bool idle = from.request > last;
    const auto isSplit = [&](int64_t request) {
      return !idle && splits[static_cast<size_t>(request)] > 1;
    };
    const int64_t end = to.page > 0 ? to.page : last < 0 ? 0 : pages[static_cast<size_t>(last)];
    for (const int64_t word : {from.request, last, from.page, end, from.split, int64_t{isSplit(from.request)},
                               int64_t{isSplit(last)}, int64_t{0}}) {
      made.rows.push_back(static_cast<int32_t>(word));
    }
  }
  return made;
}

} // namespace polymla::suite
