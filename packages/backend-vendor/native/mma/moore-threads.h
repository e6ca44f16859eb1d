#pragma once
#include <type_traits>

#include "types.h"

namespace polymla {

/**
 * The 16 × 16 × 16 products of a warp on Moore Threads' MP 3.1, in the form of mutlass 0.2 (mute/arch/mma_mp31.hpp and
 * mute/atom/mma_traits_mp31.hpp, which has the lanes of operands and results). Tiles that SQMMA takes are its
 * (moore-threads-squad.h). Never compiled by mcc, never run.
 */
template <class T> struct MooreThreadsMma {
  static constexpr int lanes = 32;
  static constexpr int values = 8;
  static constexpr int rows = 4;
  static constexpr int run = 1;
  static constexpr int rowStep = 1;
  static constexpr int rowLanes = 8;
  static PMLA_DEVICE int rowOf(int lane, int r) { return lane / 8 + 4 * r; }
  static PMLA_DEVICE constexpr int rowIndex(int i) { return i / 2; }
  static PMLA_DEVICE int columnOf(int lane, int i) { return lane % 8 + i % 2 * 8; }

  // Two neighbours in a word; of four words, the second lies 8 further along the tile's columns, the third 8 rows further.
  struct Left {
    int words[4];
  };
  /** Neighbours are in k. */
  struct Rows {
    int words[4];
  };
  /** Neighbours are in n. */
  struct Columns {
    int words[4];
  };

  template <class TileT> static PMLA_DEVICE Left loadLeft(const TileT &tile, int lane, int row, int k) {
    return load<Left>(tile, lane, row, k);
  }
  template <class TileT> static PMLA_DEVICE Rows loadRows(const TileT &tile, int lane, int n, int k) {
    return load<Rows>(tile, lane, n, k);
  }
  template <class TileT> static PMLA_DEVICE Columns loadColumns(const TileT &tile, int lane, int k, int n) {
    return load<Columns>(tile, lane, k, n);
  }

  static PMLA_DEVICE void multiply(float (&sums)[values], const Left &left, const Rows &right) { multiply<1>(sums, left.words, right.words); }
  static PMLA_DEVICE void multiply(float (&sums)[values], const Left &left, const Columns &right) {
    multiply<0>(sums, left.words, right.words);
  }

private:
  template <class Operand, class TileT> static PMLA_DEVICE Operand load(const TileT &tile, int lane, int row, int column) {
    Operand operand;
    PMLA_UNROLL
    for (int i = 0; i < 4; i++) {
      operand.words[i] = *reinterpret_cast<const int *>(tile.at(row + lane / 4 + i / 2 * 8, column + lane % 4 * 2 + i % 2 * 8));
    }
    return operand;
  }

  /** @tparam Layout bit 1: the left operand has neighbours in m; bit 0: the right one has them in k */
  template <int Layout> static PMLA_DEVICE void multiply(float (&sums)[values], const int (&left)[4], const int (&right)[4]) {
    constexpr int type = std::is_same_v<T, F16> ? 2 : 3;
    int all[values];
    memcpy(all, sums, sizeof all);
    __musa_wmma_m16n16k16_mma(all, left, right, all, 0, 0, 0, 0, 0, Layout, type);
    memcpy(sums, all, sizeof all);
  }
};

} // namespace polymla
