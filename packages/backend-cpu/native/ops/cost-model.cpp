#include "cost-model.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "../kernels/kernels.h"

namespace polymla::cpu {
namespace {

/** Units that keep any number of threads busy to the end. */
constexpr int64_t MANY_UNITS = 512;
constexpr int64_t FEWEST_PARTITIONS = 4;
constexpr int64_t MOST_PARTITIONS = 128;

/**
 * What packing queries, normalising and combining a piece cost, in tiles of keys, as measured with AMX: 0.8 for 16
 * rows, 3 for 128.
 */
double overheadTiles(int64_t rows) { return 1 + static_cast<double>(rows) / MAX_ROWS * 2; }

} // namespace

CostModel::CostModel(int64_t blocks, int64_t rows, int64_t pageTokens)
    : blocks_(blocks), pageTokens_(pageTokens),
      most_(std::clamp(MANY_UNITS / blocks, FEWEST_PARTITIONS, MOST_PARTITIONS)),
      overheadTiles_(overheadTiles(rows)) {}

int64_t CostModel::fixedOverhead() const {
  return std::llround(overheadTiles_ * TILE_KEYS / static_cast<double>(pageTokens_));
}

/**
 * Few units lose little to overhead, many serve many threads, and how many there are is not known. In between: a unit
 * takes five times its overhead, and more as the work grows, which then has units enough. Partitions are even, and a
 * power of two of them divides well among most numbers of threads.
 */
pmla_choice CostModel::choose(const pmla_load &load) const {
  const auto blocks = static_cast<double>(blocks_);
  const double tiles = static_cast<double>(load.total_pages) * static_cast<double>(pageTokens_) / TILE_KEYS;
  const double shares = blocks * tiles / (5 * overheadTiles_);
  const double wanted = std::min(std::cbrt(shares * shares) / blocks, static_cast<double>(most_));
  const auto partitions = std::bit_ceil(static_cast<uint64_t>(std::ceil(wanted)));
  return {sizeof(pmla_choice), 0, std::clamp<int64_t>(static_cast<int64_t>(partitions), 1, most_),
          fixedOverhead()};
}

} // namespace polymla::cpu
