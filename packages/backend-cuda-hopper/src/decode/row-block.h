#pragma once
#include <algorithm>
#include <cstdint>

namespace polymla {

/** Most partitions of a launch of the few-rows kernel, as many as its merge has room for. */
constexpr int mostFewRowsPartitions = 160;

/**
 * Pages of a CTA up to which L2 should keep them the least. What lies in L2 then stays there, and where much of it is
 * modified, its way to memory costs as much as reading (measured: 10% at 8 pages, 4% at 16, nothing at 23); more pages
 * are slower so.
 */
constexpr int briefPages = 20;

/**
 * Query rows of a CTA of the few-rows kernel, 16 or 32, for so many rows per KV head, or 0 where the many-rows kernel is
 * faster. Fitted to an H200 (NOTES.md); results are right with any.
 *
 * @param pages blocks of 64 tokens of all requests together, as far as is known
 */
inline int fewRowsBlock(int64_t rows, int64_t pages) {
  if (rows <= 32) return rows <= 16 ? 16 : 32;
  // Each block of rows reads every page: from L2 as long as the blocks keep step, and while that takes less than what a split
  // of more rows costs.
  return (rows + 31) / 32 * pages <= 600 ? 32 : 0;
}

/** Partitions of its launch that fills the multiprocessors once. */
inline int fewRowsPartitions(int64_t rows, int rowBlock, int64_t headsKv, int multiprocessors) {
  const int64_t blocks = (rows + rowBlock - 1) / rowBlock;
  return static_cast<int>(std::clamp<int64_t>(multiprocessors / headsKv / blocks, 1, mostFewRowsPartitions));
}

}  // namespace polymla
