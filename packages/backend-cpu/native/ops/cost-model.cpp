#include "cost-model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "../kernels/kernels.h"

namespace polymla::cpu {
namespace {

/** Units that keep any number of threads busy to the end. */
constexpr int64_t MANY_UNITS = 512;
constexpr int64_t FEWEST_PARTITIONS = 4;
constexpr int64_t MOST_PARTITIONS = 128;

/** Units that keep the threads of most processors busy. */
constexpr double ENOUGH_UNITS = 32;

/**
 * What packing queries, normalising and combining cost per piece of a cut request, in tiles of keys, as measured with
 * AMX: 1.5 for 16 rows, 5.5 for 128.
 */
double overheadTiles(int64_t rows) { return 1 + static_cast<double>(rows) / MAX_ROWS * 4.5; }

/** Tiles of the smallest unit: its overhead is up to a third of it, which only pays with idle threads. */
double smallestUnit(int64_t rows) { return 5 + static_cast<double>(rows) / MAX_ROWS * 10; }

} // namespace

CostModel::CostModel(int64_t blocks, int64_t rows, int64_t pageTokens)
    : blocks_(blocks), pageTokens_(pageTokens),
      most_(std::clamp(MANY_UNITS / blocks, FEWEST_PARTITIONS, MOST_PARTITIONS)),
      overheadTiles_(overheadTiles(rows)), smallestUnit_(smallestUnit(rows)) {}

int64_t CostModel::fixedOverhead() const {
  return std::llround(overheadTiles_ * TILE_KEYS / static_cast<double>(pageTokens_));
}

/**
 * Few units lose little to overhead, many serve many threads, and how many there are is not known. In between: units
 * grow with the work, which then has units enough. Partitions are even, and a power of two of them divides well among
 * most numbers of threads: the next one up to ENOUGH_UNITS, beyond the nearest, because every cut costs.
 */
pmla_choice CostModel::choose(const pmla_load &load) const {
  const auto blocks = static_cast<double>(blocks_);
  const double tiles = static_cast<double>(load.total_pages) * static_cast<double>(pageTokens_) / TILE_KEYS;
  const double shares = blocks * tiles / smallestUnit_;
  const double units = std::cbrt(shares * shares);
  const double rounded = units > ENOUGH_UNITS ? units * std::numbers::sqrt2 / 2 : units;
  const double wanted = std::min(rounded / blocks, static_cast<double>(most_));
  const auto partitions = std::bit_ceil(static_cast<uint64_t>(std::ceil(wanted)));
  // The schedule leaves the last partition short by the overhead. Pieces of one request all cost the same without it.
  return {sizeof(pmla_choice), 0, std::clamp<int64_t>(static_cast<int64_t>(partitions), 1, most_),
          load.batch == 1 ? 0 : fixedOverhead()};
}

} // namespace polymla::cpu
