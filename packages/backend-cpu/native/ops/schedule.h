#pragma once

#include <algorithm>
#include <memory>

#include "../runtime/job.h"
#include "kit/schedule-walk.h"
#include "lengths.h"

namespace polymla::cpu {

/** Columns of a row of the schedule; computeSchedule of @polymla/core says what they mean. */
enum ScheduleColumn {
  BEGIN_REQUEST,
  END_REQUEST,
  BEGIN_PAGE,
  END_PAGE,
  BEGIN_SPLIT,
  FIRST_IS_SPLIT,
  LAST_IS_SPLIT,
  PAD,
  SCHEDULE_STRIDE
};

/** Pages that a request is charged for: one at least, since a request without keys is still work. */
inline int64_t pageCount(int64_t length, int64_t pageSize) {
  return std::max(pagesOf(length, pageSize), int64_t{1});
}

/**
 * The schedule of computeSchedule in @polymla/core, bit for bit.
 *
 * @param rows rows of args.rows, all of which are written
 */
void computeSchedule(const Lengths &lengths, const pmla_schedule_args &args, int64_t rows);

/** The same as a job: one unit, since it is a walk over the batch. */
std::shared_ptr<const Job> scheduleJob(const Lengths &lengths, const pmla_schedule_args &args, int64_t rows);

} // namespace polymla::cpu
