#include "schedule.h"

namespace polymla::cpu {
namespace {

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/** What a schedule is computed from. */
struct Input {
  const Lengths &lengths;
  const pmla_schedule_args &args;

  int64_t pages(int64_t request) const { return pageCount(lengths[request], args.page_size); }
};

/** Partitions that a greedy walk over whole splits fills when none may cost more than `payload`. */
int64_t partitionsNeeded(const Input &input, int64_t payload) {
  const auto &[lengths, args] = input;
  const int64_t wholeCost = args.split_pages + args.fixed_overhead;
  const int64_t wholesPerPartition = payload / wholeCost;
  int64_t needed = 1;
  int64_t left = payload;
  for (int64_t request = 0; request < args.batch; request++) {
    const int64_t pages = input.pages(request);
    // All splits but the last have split_pages pages: they are placed by division, not one by one.
    const int64_t wholes = ceilDiv(pages, args.split_pages) - 1;
    const int64_t fitting = left / wholeCost;
    if (wholes <= fitting) {
      left -= wholes * wholeCost;
    } else {
      const int64_t opened = ceilDiv(wholes - fitting, wholesPerPartition);
      needed += opened;
      left = payload - (wholes - fitting - (opened - 1) * wholesPerPartition) * wholeCost;
    }
    const int64_t lastCost = pages - wholes * args.split_pages + args.fixed_overhead;
    if (lastCost > left) {
      needed++;
      left = payload;
    }
    left -= lastCost;
  }
  return needed;
}

/** The cost that a partition may reach. */
int64_t payloadOf(const Input &input) {
  const auto &[lengths, args] = input;
  int64_t pages = 0;
  int64_t splits = 0;
  int64_t longest = 0;
  for (int64_t request = 0; request < args.batch; request++) {
    const int64_t count = input.pages(request);
    pages += count;
    splits += args.split_pages == 0 ? 1 : ceilDiv(count, args.split_pages);
    longest = std::max(longest, count);
  }
  const int64_t mean = ceilDiv(pages + splits * args.fixed_overhead, args.partitions);
  if (args.split_pages == 0) return mean + args.fixed_overhead;

  const int64_t largest = std::min(args.split_pages, longest) + args.fixed_overhead;
  int64_t low = std::max(mean, largest);
  int64_t high = mean + largest - 1;
  while (low < high) {
    const int64_t payload = low + (high - low) / 2;
    if (partitionsNeeded(input, payload) <= args.partitions) high = payload;
    else low = payload + 1;
  }
  return low;
}

/** Where the walk over all pages of all requests is. */
struct Cursor {
  int64_t request = 0;
  int64_t page = 0;
  int64_t split = 0;
  int64_t splits = 0; // of the requests behind it
};

/** Takes the work of one partition. */
void advance(const Input &input, int64_t payload, Cursor &at) {
  const auto &[lengths, args] = input;
  int64_t left = payload;
  while (at.request < args.batch) {
    const int64_t pages = input.pages(at.request) - at.page;
    const int64_t pieces = args.split_pages == 0 ? 1 : ceilDiv(pages, args.split_pages);
    const int64_t cost = pages + pieces * args.fixed_overhead;
    if (cost > left) break;
    left -= cost;
    at.splits += at.split + pieces;
    at.request++;
    args.num_splits[at.request] = static_cast<int32_t>(at.splits);
    at.page = 0;
    at.split = 0;
  }
  if (at.request == args.batch) return;
  if (args.split_pages > 0) {
    const int64_t taken = left / (args.split_pages + args.fixed_overhead);
    at.page += taken * args.split_pages;
    at.split += taken;
  } else if (left > args.fixed_overhead) {
    at.page += left - args.fixed_overhead;
    at.split++;
  }
}

class ScheduleJob : public Job {
public:
  ScheduleJob(const Lengths &lengths, const pmla_schedule_args &args, int64_t rows)
      : lengths_(lengths), args_(args), rows_(rows) {}
  int phases() const override { return 1; }
  int64_t units(int) const override { return 1; }
  void run(int, int64_t, Scratch) const override { computeSchedule(lengths_, args_, rows_); }

private:
  Lengths lengths_;
  pmla_schedule_args args_;
  int64_t rows_;
};

} // namespace

void computeSchedule(const Lengths &lengths, const pmla_schedule_args &args, int64_t rows) {
  const Input input{lengths, args};
  const int64_t payload = payloadOf(input);
  Cursor at;
  args.num_splits[0] = 0;
  for (int64_t partition = 0; partition < rows; partition++) {
    const Cursor begin = at;
    advance(input, payload, at);

    const int64_t end = at.page > 0 ? at.request : at.request - 1;
    const auto isSplit = [&](int64_t request) {
      return (request == at.request && at.page > 0) ||
             args.num_splits[request + 1] - args.num_splits[request] > 1;
    };
    const bool idle = begin.request > end;
    const int64_t endPages = end < 0 || lengths[end] == 0 ? 0 : input.pages(end);
    int32_t *row = args.rows + partition * SCHEDULE_STRIDE;
    row[BEGIN_REQUEST] = static_cast<int32_t>(begin.request);
    row[END_REQUEST] = static_cast<int32_t>(end);
    row[BEGIN_PAGE] = static_cast<int32_t>(begin.page);
    row[END_PAGE] = static_cast<int32_t>(at.page > 0 ? at.page : endPages);
    row[BEGIN_SPLIT] = static_cast<int32_t>(begin.split);
    row[FIRST_IS_SPLIT] = !idle && isSplit(begin.request);
    row[LAST_IS_SPLIT] = !idle && isSplit(end);
    row[PAD] = 0;
  }
}

std::shared_ptr<const Job> scheduleJob(const Lengths &lengths, const pmla_schedule_args &args, int64_t rows) {
  return std::make_shared<ScheduleJob>(lengths, args, rows);
}

} // namespace polymla::cpu
