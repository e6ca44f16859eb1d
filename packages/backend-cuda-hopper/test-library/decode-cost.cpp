// Overheads chosen from the load alone against the best one of each batch, and guesses of the schedule against it.
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

/** All partitions of a request alone and of a schedule without overhead; else those of the first request. */
void checkGuesses() {
  for (const int64_t partitions : {1, 33, 66, 132, 160}) {
    for (const int64_t count : {1, 2, 3, 4, 7, 16, 33, 150}) {
      for (const int64_t pages : {1, 2, 3, 7, 64, 125, 2048, 20000}) {
        for (const int64_t overhead : {0, 1, 5}) {
          const Batch batch{std::vector<int64_t>(count, pages)};
          const ScheduleGuess guess = guessSchedule({sizeof(pmla_load), 0, count, count * pages, pages}, partitions, overhead);
          const ScheduleParams params{partitions, overhead, 0};
          ScheduleWalk walk(batch, params, payloadOf(batch, params));
          for (int64_t partition = 0; partition < partitions; partition++) {
            const ScheduleRow row = walk.next([](int64_t, int64_t) {});
            const ScheduleGuess::Begin begin = guess.begin(static_cast<uint32_t>(partition));
            EXPECT(begin.request < count && begin.page >= 0 && begin.page < pages);
            if (guess.partitions == 0 || row.beginRequest > row.endRequest || (row.beginRequest > 0 && overhead > 0)) continue;
            EXPECT(begin.request == row.beginRequest && begin.page == row.beginPage);
          }
          EXPECT((guess.partitions > 0) == (guess.partitionPages > 0) && guess.partitionPages * partitions < 1 << 16);
        }
      }
    }
  }
  // None of several lengths, nor of none.
  EXPECT(guessSchedule({sizeof(pmla_load), 0, 2, 3, 2}, 132, 0).partitions == 0);
  EXPECT(guessSchedule({sizeof(pmla_load), 0, 0, 0, 0}, 132, 0).partitions == 0);
  EXPECT(ScheduleGuess{}.begin(0).request == -1);
  // A partition takes more than the guess has room for.
  EXPECT(guessSchedule({sizeof(pmla_load), 0, 1, 256, 256}, 1, 0).partitions == 0);
  EXPECT(guessSchedule({sizeof(pmla_load), 0, 1, 255, 255}, 1, 0).partitions == 1);
}

}  // namespace

int main() {
  checkGuesses();
  checkChoices(fewRowsPieceCost);
  checkChoices(manyRowsPieceCost);
  return test::finish();
}
