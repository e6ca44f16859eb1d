#pragma once
#include <cstdint>

#include "../decode/schedule-guess.h"
#include "polymla_backend.h"

namespace polymla {

/** Cost of a piece of work beside its pages, by kernel: the queries of many rows take their time. */
constexpr int64_t fewRowsPieceCost = 1;
constexpr int64_t manyRowsPieceCost = 3;

/** Cost of a piece of work that is a split, beside its pages. */
constexpr int64_t splitOverhead = 8;

/** The same where splits are requests of their own: they are neither awaited nor merged by those who write them. */
constexpr int64_t splitBatchOverhead = 1;

/**
 * The fixed overhead with which a step of dense decode is scheduled: the one whose costliest partition is the cheapest,
 * as far as the load tells. Costs in pages of 64 tokens, fitted to an H200: a page 1, a piece of work `pieceCost`
 * more, a piece of a split request splitOverhead (partial results written, awaited, merged).
 *
 * A batch of equal lengths is known from its load, and tried out. Otherwise: requests that outnumber the partitions are
 * packed as they are, and fewer ones are cut at the price of a split, or sooner where a partition has but a few pages.
 * Over normal lengths of standard deviation mean / 2 that costs up to 3% more than the best overhead, and up to 10% more
 * with less than 6 pages per partition (batches of 1 to 256, means of 8 to 256 pages, 66 and 132 partitions).
 */
int64_t decodeOverhead(const pmla_load& load, int64_t partitions, int64_t pieceCost);

/** Where the partitions of that schedule begin; none for a batch of several lengths. */
ScheduleGuess guessSchedule(const pmla_load& load, int64_t partitions, int64_t overhead);

}  // namespace polymla
