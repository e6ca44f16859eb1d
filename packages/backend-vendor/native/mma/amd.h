#pragma once
#include <type_traits>

#include "types.h"

namespace polymla {

/**
 * v_mfma_f32_16x16x16 of CDNA (gfx908 and newer; AMD Instinct MI200 ISA, chapter "Matrix Arithmetic Instructions").
 * Lane l has four neighbours in k, from 4 · (l / 16) on, of row or column l % 16. Never run.
 */
template <class T> struct AmdMma {
  static constexpr int lanes = 64;
  static constexpr int values = 4;
  static constexpr int rows = 4;
  static constexpr int run = 1;
  static constexpr int rowStep = 1;
  static constexpr int rowLanes = 16;
  static PMLA_DEVICE int rowOf(int lane, int r) { return lane / 16 * 4 + r; }
  static PMLA_DEVICE constexpr int rowIndex(int i) { return i; }
  static PMLA_DEVICE int columnOf(int lane, int) { return lane % 16; }

  using Shorts = __attribute__((ext_vector_type(4))) short;
  using Pair = __attribute__((ext_vector_type(2))) short;
  using Halves = __attribute__((ext_vector_type(4))) _Float16;
  using Sums = __attribute__((ext_vector_type(4))) float;
  struct Operand {
    Shorts codes;
  };
  using Left = Operand;
  using Right = Operand;

  template <class TileT> static PMLA_DEVICE Left loadLeft(const TileT &tile, int lane, int row, int k) {
    return {*reinterpret_cast<const Shorts *>(tile.at(row + lane % 16, k + lane / 16 * 4))};
  }
  template <class TileT> static PMLA_DEVICE Right loadRows(const TileT &tile, int lane, int n, int k) {
    return {*reinterpret_cast<const Shorts *>(tile.at(n + lane % 16, k + lane / 16 * 4))};
  }
  template <class TileT> static PMLA_DEVICE Right loadColumns(const TileT &tile, int lane, int k, int n) {
    Right right;
    PMLA_UNROLL
    for (int i = 0; i < 4; i++) right.codes[i] = static_cast<short>(*tile.at(k + lane / 16 * 4 + i, n + lane % 16));
    return right;
  }

  static PMLA_DEVICE void multiply(float (&sums)[values], const Left &left, const Right &right) {
    Sums all = {sums[0], sums[1], sums[2], sums[3]};
    if constexpr (std::is_same_v<T, F16>) {
      all = __builtin_amdgcn_mfma_f32_16x16x16f16(bits<Halves>(left.codes), bits<Halves>(right.codes), all, 0, 0, 0);
    } else {
#if defined(__gfx908__)
      // Eight deep only: the order of k is free as long as both operands have the same.
      all = __builtin_amdgcn_mfma_f32_16x16x8bf16(Pair{left.codes[0], left.codes[1]}, Pair{right.codes[0], right.codes[1]}, all, 0, 0, 0);
      all = __builtin_amdgcn_mfma_f32_16x16x8bf16(Pair{left.codes[2], left.codes[3]}, Pair{right.codes[2], right.codes[3]}, all, 0, 0, 0);
#else
      all = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(left.codes, right.codes, all, 0, 0, 0);
#endif
    }
    PMLA_UNROLL
    for (int i = 0; i < values; i++) sums[i] = all[i];
  }

private:
  template <class To> static PMLA_DEVICE To bits(const Shorts &codes) {
    To to;
    __builtin_memcpy(&to, &codes, sizeof to);
    return to;
  }
};

} // namespace polymla
