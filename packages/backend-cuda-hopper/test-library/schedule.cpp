// The walk of native/kit/schedule-walk.h against a transcription of computeSchedule in @polymla/core, over random batches.
#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "../src/host/schedule.h"
#include "kit/schedule-walk.h"
#include "check.h"

using namespace polymla;

namespace {

struct Batch {
  std::vector<int32_t> lengths;
  int64_t pageSize;
  int64_t batch = static_cast<int64_t>(lengths.size());

  bool isEmpty(int64_t request) const { return lengths[request] == 0; }
  int64_t pages(int64_t request) const { return std::max<int64_t>(pagesOf(lengths[request], pageSize), 1); }
};

bool equal(const Schedule& a, const Schedule& b) {
  return a.numSplits == b.numSplits && a.rows.size() == b.rows.size() &&
         std::memcmp(a.rows.data(), b.rows.data(), a.rows.size() * sizeof(ScheduleRow)) == 0;
}

Schedule walked(const Batch& batch, const ScheduleParams& params, int64_t rows) {
  Schedule schedule{{}, std::vector<int32_t>(batch.lengths.size() + 1)};
  ScheduleWalk walk(batch, params, payloadOf(batch, params));
  for (int64_t row = 0; row < rows; row++) {
    schedule.rows.push_back(walk.next([&](int64_t request, int64_t splits) {
      schedule.numSplits[request + 1] = static_cast<int32_t>(splits);
    }));
  }
  return schedule;
}

/** Partitions that splits dealt out one by one fill, when none may cost more than `payload`. */
int64_t dealt(const Batch& batch, const ScheduleParams& params, int64_t payload) {
  int64_t partitions = 1;
  int64_t left = payload;
  for (int64_t request = 0; request < batch.batch; request++) {
    for (int64_t pages = batch.pages(request); pages > 0; pages -= params.splitPages) {
      const int64_t cost = std::min(pages, params.splitPages) + params.fixedOverhead;
      if (cost > left) {
        partitions++;
        left = payload;
      }
      left -= cost;
    }
  }
  return partitions;
}

/** computeSchedule, line by line; the payload of fixed splits by trying one after the other. */
Schedule transcribed(const Batch& batch, const ScheduleParams& params, int64_t rows) {
  const auto& [lengths, pageSize, count] = batch;
  const int64_t fixedOverhead = params.fixedOverhead;
  const int64_t splitPages = params.splitPages;
  const auto pageCount = [&](int64_t length) { return std::max<int64_t>(length - 1, 0) / pageSize + 1; };
  const auto splitCount = [&](int64_t pages) { return (pages + splitPages - 1) / splitPages; };
  int64_t cost = 0;
  int64_t largest = 0;
  for (const int32_t length : lengths) {
    const int64_t splits = splitPages == 0 ? 1 : splitCount(pageCount(length));
    cost += pageCount(length) + splits * fixedOverhead;
    largest = std::max(largest, std::min(splitPages, pageCount(length)) + fixedOverhead);
  }
  const int64_t mean = (cost + params.partitions - 1) / params.partitions;
  int64_t payload = splitPages == 0 ? mean + fixedOverhead : std::max(mean, largest);
  while (splitPages > 0 && dealt(batch, params, payload) > params.partitions) payload++;

  Schedule result{{}, std::vector<int32_t>(lengths.size() + 1)};
  std::vector<int32_t>& numSplits = result.numSplits;
  int64_t request = 0;
  int64_t page = 0;
  int64_t split = 0;
  int64_t splits = 0;
  const auto endPageOf = [&](int64_t of) { return of < 0 || lengths[of] == 0 ? 0 : pageCount(lengths[of]); };
  const auto isSplit = [&](int64_t of) { return (of == request && page > 0) || numSplits[of + 1] - numSplits[of] > 1; };
  for (int64_t row = 0; row < rows; row++) {
    ScheduleRow made{};
    const int64_t beginRequest = request;
    made.beginRequest = static_cast<int32_t>(request);
    made.beginPage = static_cast<int32_t>(page);
    made.beginSplit = static_cast<int32_t>(split);
    int64_t left = payload;
    while (request < count) {
      const int64_t pages = pageCount(lengths[request]) - page;
      const int64_t pieces = splitPages == 0 ? 1 : splitCount(pages);
      if (pages + pieces * fixedOverhead > left) break;
      left -= pages + pieces * fixedOverhead;
      splits += split + pieces;
      request++;
      numSplits[request] = static_cast<int32_t>(splits);
      page = 0;
      split = 0;
    }
    if (request < count) {
      if (splitPages > 0) {
        const int64_t taken = left / (splitPages + fixedOverhead);
        page += taken * splitPages;
        split += taken;
      } else if (left > fixedOverhead) {
        page += left - fixedOverhead;
        split++;
      }
    }
    const int64_t endRequest = page > 0 ? request : request - 1;
    const bool idle = beginRequest > endRequest;
    made.endRequest = static_cast<int32_t>(endRequest);
    made.endPage = static_cast<int32_t>(page > 0 ? page : endPageOf(endRequest));
    made.firstIsSplit = !idle && isSplit(beginRequest);
    made.lastIsSplit = !idle && isSplit(endRequest);
    result.rows.push_back(made);
  }
  return result;
}

std::vector<int32_t> randomLengths(std::mt19937& random, int64_t longest) {
  std::vector<int32_t> lengths(random() % 40);
  for (int32_t& length : lengths) {
    const int64_t bound = random() % 4 == 0 ? longest : longest / 16 + 1;
    length = random() % 5 == 0 ? 0 : static_cast<int32_t>(std::uniform_int_distribution<int64_t>(0, bound)(random));
  }
  return lengths;
}

}  // namespace

int main() {
  std::mt19937 random(1);
  int split = 0;
  for (int round = 0; round < 20000; round++) {
    const auto among = [&](std::initializer_list<int64_t> values) { return values.begin()[random() % values.size()]; };
    const Batch batch{randomLengths(random, among({3, 100, 5000})), among({1, 16, 64, 192})};
    const ScheduleParams params{among({1, 2, 7, 33, 132}), among({0, 1, 5, 8, 100}), among({0, 0, 1, 4, 30})};
    const int64_t rows = params.partitions + static_cast<int64_t>(random() % 3);
    const Schedule found = walked(batch, params, rows);
    EXPECT(equal(found, transcribed(batch, params, rows)));
    for (const ScheduleRow& row : found.rows) split += row.firstIsSplit;
  }
  EXPECT(split > 1000);

  // Sums beyond int32: 4,000 requests of the greatest length.
  const Batch huge{std::vector<int32_t>(4000, INT32_MAX), 1};
  EXPECT(equal(walked(huge, {132, 5, 0}, 132), transcribed(huge, {132, 5, 0}, 132)));
  const ScheduleParams whole{132, 5, int64_t{1} << 30};
  const int64_t payload = payloadOf(huge, whole);
  EXPECT(dealt(huge, whole, payload) <= 132 && dealt(huge, whole, payload - 1) > 132);
  return test::finish();
}
