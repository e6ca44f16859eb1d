#pragma once
#include <type_traits>

#include "quad-operands.h"

namespace polymla {

/**
 * The 16 × 16 × 16 products of MetaX GPUs, by the builtins of mxcc. Rows of results are neighbours, from 4 · (l / 16) on.
 * Never compiled by mxcc, never run.
 */
template <class T> struct MetaxMma : QuadOperands<T> {
  using Base = QuadOperands<T>;
  static PMLA_DEVICE int rowOf(int lane, int r) { return lane / 16 * 4 + r; }

  using Halves = __attribute__((ext_vector_type(4))) _Float16;
  using Codes = __attribute__((ext_vector_type(2))) uint32_t;
  using Sums = __attribute__((ext_vector_type(4))) float;

  static PMLA_DEVICE void multiply(float (&sums)[4], const typename Base::Left &left, const typename Base::Right &right) {
    Sums all = {sums[0], sums[1], sums[2], sums[3]};
    if constexpr (std::is_same_v<T, F16>) {
      all = __builtin_mxc_mma_16x16x16f16(Base::template bits<Halves>(left), Base::template bits<Halves>(right), all);
    } else {
      all = __builtin_mxc_mma_16x16x16bf16(Base::template bits<Codes>(left), Base::template bits<Codes>(right), all);
    }
    PMLA_UNROLL
    for (int i = 0; i < 4; i++) sums[i] = all[i];
  }
};

} // namespace polymla
