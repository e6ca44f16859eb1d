#include "../ops/cost-model.h"
#include "../ops/schedule.h"

#include "ops-fixtures.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

struct Schedule {
  std::vector<int32_t> rows;
  std::vector<int32_t> numSplits;
};

struct Params {
  int64_t partitions;
  int64_t pageSize;
  int64_t fixedOverhead;
  int64_t splitPages;
};

Schedule compute(const std::vector<int32_t> &lengths, const Params &params, int64_t rows) {
  pmla_decode_problem problem{};
  problem.block_table_width = INT32_MAX;
  problem.cache.page_size = params.pageSize;
  const auto batch = static_cast<int64_t>(lengths.size());
  Schedule made{std::vector<int32_t>(static_cast<size_t>(rows * SCHEDULE_STRIDE), -7),
                std::vector<int32_t>(static_cast<size_t>(batch + 1), -7)};
  computeSchedule(Lengths(problem, lengths.data()),
                  {sizeof(pmla_schedule_args), 0, batch, lengths.data(), nullptr, params.partitions,
                   params.fixedOverhead, params.pageSize, params.splitPages, made.rows.data(),
                   made.numSplits.data()},
                  rows);
  return made;
}

void expect(const char *what, const std::vector<int32_t> &lengths, const Params &params,
            const std::vector<std::vector<int32_t>> &rows, const std::vector<int32_t> &numSplits) {
  const Schedule found = compute(lengths, params, static_cast<int64_t>(rows.size()));
  std::vector<int32_t> flat;
  for (const auto &row : rows) flat.insert(flat.end(), row.begin(), row.end());
  if (found.rows != flat) fail("%s: other rows", what);
  if (found.numSplits != numSplits) fail("%s: other numbers of splits", what);
}

/** What the tests of core's scheduler expect, worked out by hand there. */
void checkGolden() {
  expect("two requests and an empty one", {800, 64, 0}, {3, 64, 5, 0},
         {{0, 0, 0, 10, 0, 1, 1, 0}, {0, 1, 10, 1, 1, 1, 0, 0}, {2, 2, 0, 0, 0, 0, 0, 0}}, {0, 2, 3, 4});
  for (const int64_t splitPages : {0, 16}) {
    expect("no request", {}, {2, 64, 5, splitPages}, {{0, -1, 0, 0, 0, 0, 0, 0}, {0, -1, 0, 0, 0, 0, 0, 0}},
           {0});
    const std::vector<int32_t> idle = {2, 1, 0, 0, 0, 0, 0, 0};
    expect("more partitions than work", {100, 0}, {4, 64, 5, splitPages},
           {{0, 0, 0, 2, 0, 0, 0, 0}, {1, 1, 0, 0, 0, 0, 0, 0}, idle, idle, idle, idle}, {0, 1, 2});
    expect("idle after pages", {0, 100}, {3, 64, 5, splitPages},
           {{0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 0, 2, 0, 0, 0, 0}, {2, 1, 0, 2, 0, 0, 0, 0}}, {0, 1, 2});
  }
}

/** Deals splits out one by one, opening a partition when the next would exceed the payload: what a schedule must be. */
Schedule deal(const std::vector<int32_t> &lengths, const Params &params) {
  struct Split {
    int32_t request, split, begin, end;
    int64_t cost;
  };
  std::vector<Split> splits;
  Schedule made;
  made.numSplits.push_back(0);
  int64_t total = 0;
  int64_t largest = 0;
  for (size_t request = 0; request < lengths.size(); request++) {
    const int64_t pages = (lengths[request] + params.pageSize - 1) / params.pageSize;
    int32_t split = 0;
    int64_t begin = 0;
    do {
      const int64_t end = std::min(begin + params.splitPages, pages);
      const int64_t cost = std::max<int64_t>(end - begin, 1) + params.fixedOverhead;
      splits.push_back({static_cast<int32_t>(request), split++, static_cast<int32_t>(begin),
                        static_cast<int32_t>(end), cost});
      total += cost;
      largest = std::max(largest, cost);
      begin = end;
    } while (begin < pages);
    made.numSplits.push_back(made.numSplits.back() + split);
  }
  std::vector<std::vector<Split>> hands;
  for (int64_t payload = std::max((total + params.partitions - 1) / params.partitions, largest);; payload++) {
    hands.assign(1, {});
    int64_t cost = 0;
    for (const Split &split : splits) {
      if (cost + split.cost > payload) hands.emplace_back(), cost = 0;
      hands.back().push_back(split);
      cost += split.cost;
    }
    if (static_cast<int64_t>(hands.size()) <= params.partitions) break;
  }
  const auto count = [&](int32_t request) {
    return made.numSplits[static_cast<size_t>(request) + 1] - made.numSplits[static_cast<size_t>(request)];
  };
  for (int64_t partition = 0; partition < params.partitions; partition++) {
    std::vector<int32_t> row = {static_cast<int32_t>(lengths.size()),
                                static_cast<int32_t>(lengths.size()) - 1,
                                0,
                                splits.back().end,
                                0,
                                0,
                                0,
                                0};
    if (partition < static_cast<int64_t>(hands.size())) {
      const Split &first = hands[static_cast<size_t>(partition)].front();
      const Split &last = hands[static_cast<size_t>(partition)].back();
      row = {first.request,
             last.request,
             first.begin,
             last.end,
             first.split,
             count(first.request) > 1,
             count(last.request) > 1,
             0};
    }
    made.rows.insert(made.rows.end(), row.begin(), row.end());
  }
  return made;
}

std::vector<int32_t> randomLengths(Generator &random) {
  std::vector<int32_t> lengths(static_cast<size_t>(integer(random, 1, 40)));
  for (int32_t &length : lengths)
    length = integer(random, 0, 3) == 0 ? 0 : static_cast<int32_t>(integer(random, 0, 2000));
  return lengths;
}

/** Fixed splits in the cheapest order-keeping placement, and balanced ones: every page once, within the payload. */
void checkRandom(Generator &random) {
  for (int round = 0; round < 2000; round++) {
    const std::vector<int32_t> lengths = randomLengths(random);
    Params params{integer(random, 1, 20), integer(random, 1, 70), integer(random, 0, 9),
                  integer(random, 1, 12)};
    const Schedule expected = deal(lengths, params);
    const Schedule found = compute(lengths, params, params.partitions);
    if (found.rows != expected.rows || found.numSplits != expected.numSplits)
      fail("fixed splits, round %d", round);

    params.splitPages = 0;
    const Schedule balanced = compute(lengths, params, params.partitions);
    int64_t total = 0;
    for (const int32_t length : lengths) total += pageCount(length, params.pageSize) + params.fixedOverhead;
    const int64_t payload = (total + params.partitions - 1) / params.partitions + params.fixedOverhead;
    int64_t request = 0;
    int64_t page = 0;
    for (int64_t partition = 0; partition < params.partitions; partition++) {
      const int32_t *row = balanced.rows.data() + partition * SCHEDULE_STRIDE;
      if (row[BEGIN_REQUEST] > row[END_REQUEST]) continue;
      int64_t cost = 0;
      if (row[BEGIN_REQUEST] != request || row[BEGIN_PAGE] != page) fail("balanced, round %d: a gap", round);
      for (; request <= row[END_REQUEST]; request++, page = 0) {
        const int64_t pages = pageCount(lengths[static_cast<size_t>(request)], params.pageSize);
        const bool cut = request == row[END_REQUEST] && row[END_PAGE] != 0 && row[END_PAGE] < pages;
        cost += (cut ? row[END_PAGE] : pages) - page + params.fixedOverhead;
        if (!cut) continue;
        page = row[END_PAGE];
        break;
      }
      if (cost > payload)
        fail("balanced, round %d: partition %ld costs %ld of %ld", round, partition, cost, payload);
    }
    if (request != static_cast<int64_t>(lengths.size()) || page != 0)
      fail("balanced, round %d: pages are left", round);
  }
}

void checkSparseLengths() {
  const auto lengths = [](int64_t topk, const std::vector<int32_t> &given, int64_t extraTopk,
                          const std::vector<int32_t> &extra) {
    pmla_sparse_decode_problem problem{};
    problem.topk = topk;
    problem.extra_topk = extraTopk;
    problem.flags = extraTopk > 0 ? PMLA_SPARSE_EXTRA : 0;
    const Lengths made(problem, given.empty() ? nullptr : given.data(),
                       extra.empty() ? nullptr : extra.data());
    std::vector<int64_t> found;
    for (int64_t request = 0; request < 5; request++) found.push_back(made[request]);
    return found;
  };
  const std::vector<int32_t> topkLength = {0, 1, 64, 65, 900};
  using Expected = std::vector<int64_t>;
  if (lengths(0, {}, 0, {}) != Expected{1, 1, 1, 1, 1}) fail("sparse lengths without indices");
  if (lengths(128, topkLength, 0, {}) != Expected{1, 1, 64, 65, 128}) fail("sparse lengths of topk lengths");
  if (lengths(100, {}, 10, {}) != Expected{138, 138, 138, 138, 138})
    fail("sparse lengths with extra indices");
  if (lengths(128, topkLength, 10, {0, 3, 10, -4, 7}) != Expected{64, 67, 74, 128, 135})
    fail("sparse lengths of both");
}

/** A request alone is divided by a power of two; where that divides its pages, all partitions get as many. */
void checkAlone() {
  for (const int64_t rows : {1, 16, 128}) {
    const CostModel costs(1, rows, 64);
    for (int64_t pages = 16; pages <= 4096; pages *= 2) {
      const pmla_choice choice = costs.choose({sizeof(pmla_load), 0, 1, pages, pages});
      const Schedule found = compute({static_cast<int32_t>(pages * 64)},
                                     {choice.partitions, 64, choice.fixed_overhead, 0}, choice.partitions);
      for (int64_t partition = 0; partition < choice.partitions; partition++) {
        const int32_t *row = found.rows.data() + partition * SCHEDULE_STRIDE;
        if (row[END_PAGE] - row[BEGIN_PAGE] != pages / choice.partitions)
          fail("%d pages alone: uneven", static_cast<int>(pages));
      }
    }
  }
}

} // namespace

int main() {
  Generator random(2);
  checkGolden();
  checkRandom(random);
  checkSparseLengths();
  checkAlone();
  return finish();
}
