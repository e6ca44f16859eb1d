#pragma once
#include "types.h"

namespace polymla {

/**
 * Operands of matrix units with waves of 64: lane l has four neighbours in k, from 4 · (l / 16) on, of row or column
 * l % 16. Results: column l % 16, and four rows.
 */
template <class T> struct QuadOperands {
  static constexpr int lanes = 64;
  static constexpr int values = 4;
  static constexpr int rows = 4;
  static constexpr int run = 1;
  static constexpr int rowStep = 1;
  static constexpr int rowLanes = 16;
  static PMLA_DEVICE constexpr int rowIndex(int i) { return i; }
  static PMLA_DEVICE int columnOf(int lane, int) { return lane % 16; }

  struct alignas(8) Operand {
    uint16_t codes[4];
  };
  using Left = Operand;
  using Right = Operand;

  template <class TileT> static PMLA_DEVICE Left loadLeft(const TileT &tile, int lane, int row, int k) {
    return *reinterpret_cast<const Operand *>(tile.at(row + lane % 16, k + lane / 16 * 4));
  }
  template <class TileT> static PMLA_DEVICE Right loadRows(const TileT &tile, int lane, int n, int k) {
    return *reinterpret_cast<const Operand *>(tile.at(n + lane % 16, k + lane / 16 * 4));
  }
  template <class TileT> static PMLA_DEVICE Right loadColumns(const TileT &tile, int lane, int k, int n) {
    Right right;
    PMLA_UNROLL
    for (int i = 0; i < 4; i++) right.codes[i] = *tile.at(k + lane / 16 * 4 + i, n + lane % 16);
    return right;
  }

  template <class To> static PMLA_DEVICE To bits(const Operand &operand) {
    static_assert(sizeof(To) == sizeof operand);
    To to;
    __builtin_memcpy(&to, &operand, sizeof to);
    return to;
  }
};

} // namespace polymla
