#include "schedule.h"

#include <cstring>

namespace polymla::cpu {
namespace {

/** What the walk asks of a batch. */
struct Requests {
  int64_t batch;
  const Lengths &lengths;
  int64_t pageSize;

  int64_t pages(int64_t request) const { return pageCount(lengths[request], pageSize); }
  bool isEmpty(int64_t request) const { return lengths[request] == 0; }
};

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
  const Requests requests{args.batch, lengths, args.page_size};
  const ScheduleParams params{args.partitions, args.fixed_overhead, args.split_pages};
  ScheduleWalk walk(requests, params, payloadOf(requests, params));
  args.num_splits[0] = 0;
  for (int64_t partition = 0; partition < rows; partition++) {
    const ScheduleRow row = walk.next(
        [&](int64_t request, int64_t splits) { args.num_splits[request + 1] = static_cast<int32_t>(splits); });
    std::memcpy(args.rows + partition * SCHEDULE_STRIDE, &row, sizeof row);
  }
}

std::shared_ptr<const Job> scheduleJob(const Lengths &lengths, const pmla_schedule_args &args, int64_t rows) {
  return std::make_shared<ScheduleJob>(lengths, args, rows);
}

} // namespace polymla::cpu
