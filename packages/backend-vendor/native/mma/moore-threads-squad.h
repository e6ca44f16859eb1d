#pragma once
#include <type_traits>

#include "panel-tile.h"

namespace polymla {

/**
 * SQMMA of Moore Threads' MP 3.1: a squad of 128 threads multiplies tiles that lie in shared memory, and has the sums in
 * registers. In the form of mutlass 0.2 (78b3495): mute/arch/mma_mp31_sqmma.hpp has the builtins, mma_mp31_desc.hpp the
 * descriptor, mute/atom/mma_traits_mp31_sqmma.hpp which rows of memory it stands for and which thread has which sum.
 *
 * There, tiles that are read along their rows have granules of 16 bytes, and those that are read across, 32. A tile of keys
 * is read both ways: it has 32, as a descriptor may say for either. Never compiled by mcc, never run on a GPU; the emulated
 * devices run it on builtins that do what is said there (test/emulated/sqmma.h).
 */
template <class T> struct MooreThreadsSquadMma {
  // What a thread has of 16 × 16 sums, as of any hook (mma.h).
  static constexpr int lanes = 128;
  static constexpr int values = 2;
  static constexpr int rows = 1;
  static constexpr int run = 1;
  static constexpr int rowStep = 1;
  static constexpr int rowLanes = 8;
  static PMLA_DEVICE int rowOf(int lane, int) { return lane / 32 * 4 + lane / 8 % 4; }
  static PMLA_DEVICE constexpr int rowIndex(int) { return 0; }
  static PMLA_DEVICE int columnOf(int lane, int i) { return lane % 8 + 8 * i; }

  template <int Rows, int Columns> using LeftTile = PanelTile<T, Rows, Columns, 16>;
  template <int Rows, int Columns> using KeyTile = PanelTile<T, Rows, Columns, 32>;

  template <int RowTiles, int ColumnTiles> using Sums = float[RowTiles][ColumnTiles][values];

  /** sums += left[row …][0, depth) · (right[0 …][0, depth))ᵀ */
  template <int RowTiles, int ColumnTiles, class Left, class Right>
  static PMLA_DEVICE void multiplyRows(Sums<RowTiles, ColumnTiles> &sums, const Left &left, int row, const Right &right, int depth) {
    constexpr int step = Left::panelColumns;
    static_assert(step == Right::panelColumns && step == 64);
    int all[RowTiles * ColumnTiles * values];
    memcpy(all, sums, sizeof all);
    const int whole = depth / step * step;
    for (int k = 0; k < whole; k += step) {
      issue<RowTiles * 16, ColumnTiles * 16, step, 1>(all, descriptor(left, row, k), descriptor(right, 0, k));
    }
    for (int k = whole; k < depth; k += 16) {
      issue<RowTiles * 16, ColumnTiles * 16, 16, 1>(all, descriptor(left, row, k), descriptor(right, 0, k));
    }
    __musa_sqmma_wait();
    memcpy(sums, all, sizeof all);
  }

  /** sums += left · right[…][column …] */
  template <int RowTiles, int ColumnTiles, class Left, class Right>
  static PMLA_DEVICE void multiplyColumns(Sums<RowTiles, ColumnTiles> &sums, const Left &left, const Right &right, int column) {
    constexpr int panels = ColumnTiles * 16 / Right::panelColumns;
    constexpr int tiles = ColumnTiles / panels;
    constexpr int step = Left::panelColumns;
    static_assert(Left::columns == Right::rows);
    float parts[panels][RowTiles][tiles][values];
    int all[panels][RowTiles * tiles * values];
    PMLA_UNROLL
    for (int p = 0; p < panels; p++) {
      PMLA_UNROLL
      for (int t = 0; t < RowTiles; t++) memcpy(parts[p][t], sums[t][p * tiles], sizeof parts[p][t]);
      memcpy(all[p], parts[p], sizeof all[p]);
      PMLA_UNROLL
      for (int k = 0; k < Left::columns; k += step) {
        issue<RowTiles * 16, tiles * 16, step, 0>(all[p], descriptor(left, 0, k), descriptor(right, k, column + p * Right::panelColumns));
      }
    }
    __musa_sqmma_wait();
    PMLA_UNROLL
    for (int p = 0; p < panels; p++) {
      memcpy(parts[p], all[p], sizeof all[p]);
      PMLA_UNROLL
      for (int t = 0; t < RowTiles; t++) memcpy(sums[t][p * tiles], parts[p][t], sizeof parts[p][t]);
    }
  }

private:
  /** Address of 18 bits; bytes between rows, as the power of two that is 4 more; granule, as the power of two that is 3 more. */
  template <class Operand> static PMLA_DEVICE int descriptor(const Operand &tile, int row, int column) {
    constexpr int stride = Operand::rowBytes == 64 ? 4 : 5;
    constexpr int granule = Operand::granule == 16 ? 1 : 2;
    static_assert(Operand::rowBytes == 64 || Operand::rowBytes == 128);
    return static_cast<int>((sharedAddress(tile.memory) + static_cast<uint32_t>(Operand::offset(row, column))) | stride << 18 | granule << 21);
  }

  /** @tparam RightRows whether the right operand is read along its rows */
  template <int M, int N, int K, int RightRows> static PMLA_DEVICE void issue(int *all, int left, int right) {
    constexpr int type = std::is_same_v<T, F16> ? 2 : 3;
    static_assert((M == 32 && (N == 32 || N == 64)) || (M == 64 && N == 64));
    // The left operand along its rows; nothing negated; sums go on; no saturation.
    if constexpr (M == 64) __musa_sqmma_m64n64_mma(all, &left, &right, all, 0, RightRows, 0, 0, 0, 0, K, type);
    else if constexpr (N == 64) __musa_sqmma_m32n64_mma(all, &left, &right, all, 0, RightRows, 0, 0, 0, 0, K, type);
    else __musa_sqmma_m32n32_mma(all, &left, &right, all, 0, RightRows, 0, 0, 0, 0, K, type);
  }
};

} // namespace polymla
