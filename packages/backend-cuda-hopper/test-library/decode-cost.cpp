// Overheads chosen from the load alone against the best one of each batch.
#include "../src/plans/decode-cost.h"

#include <limits>
#include <random>
#include <vector>

#include "kit/schedule-walk.h"
#include "check.h"

using namespace polymla;

namespace {

struct Batch {
  std::vector<int64_t> each;
  int64_t batch = static_cast<int64_t>(each.size());
  int64_t pages(int64_t request) const { return each[request]; }
  bool isEmpty(int64_t) const { return false; }
};

/** What decode-cost.h says that the costliest partition costs. */
double costliest(const Batch& batch, int64_t partitions, int64_t overhead, int64_t pieceCost) {
  const ScheduleParams params{partitions, overhead, 0};
  ScheduleWalk walk(batch, params, payloadOf(batch, params));
  int64_t worst = 0;
  for (int64_t partition = 0; partition < partitions; partition++) {
    const ScheduleRow row = walk.next([](int64_t, int64_t) {});
    int64_t cost = 0;
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const int64_t begin = request == row.beginRequest ? row.beginPage : 0;
      const int64_t end = request == row.endRequest ? row.endPage : batch.each[request];
      const bool isSplit = request == row.beginRequest ? row.firstIsSplit : request == row.endRequest && row.lastIsSplit;
      cost += end - begin + (isSplit ? splitOverhead : pieceCost);
    }
    worst = std::max(worst, cost);
  }
  return static_cast<double>(worst);
}

/** How much dearer the choice is than the best of 0 to 16. */
double excess(const Batch& batch, int64_t partitions, int64_t pieceCost) {
  pmla_load load{sizeof(pmla_load), 0, batch.batch, 0, 0};
  for (const int64_t pages : batch.each) {
    load.total_pages += pages;
    load.longest_pages = std::max(load.longest_pages, pages);
  }
  double best = std::numeric_limits<double>::infinity();
  for (int64_t overhead = 0; overhead <= 16; overhead++) best = std::min(best, costliest(batch, partitions, overhead, pieceCost));
  return costliest(batch, partitions, decodeOverhead(load, partitions, pieceCost), pieceCost) / best - 1;
}

void checkChoices(int64_t pieceCost) {
  std::mt19937 random(1);
  for (const int64_t partitions : {66, 132}) {
    for (const int batch : {1, 4, 16, 32, 64, 128, 256}) {
      for (const int pages : {8, 16, 64, 128, 256}) {
        EXPECT(excess({std::vector<int64_t>(batch, pages)}, partitions, pieceCost) == 0);
        double sum = 0;
        constexpr int rounds = 20;
        std::normal_distribution<double> lengths(pages, pages / 2.0);
        for (int round = 0; round < rounds; round++) {
          std::vector<int64_t> each(batch);
          for (int64_t& count : each) count = std::max<int64_t>(1, static_cast<int64_t>(lengths(random)));
          sum += excess({each}, partitions, pieceCost);
        }
        const double limit = batch * pages < 6 * partitions ? 0.11 : 0.03;
        if (!EXPECT(sum / rounds < limit)) std::fprintf(stderr, "  %d requests of %d pages: %f\n", batch, pages, sum / rounds);
      }
    }
  }
}

}  // namespace

int main() {
  checkChoices(fewRowsPieceCost);
  checkChoices(manyRowsPieceCost);
  return test::finish();
}
