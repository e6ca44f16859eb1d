#pragma once
#include <type_traits>

#include "quad-operands.h"

namespace polymla {

/**
 * v_mfma_f32_16x16x16 of CDNA (gfx908 and newer; AMD Instinct MI200 ISA, chapter "Matrix Arithmetic Instructions"). Rows of
 * results are neighbours, from 4 · (l / 16) on. Never run.
 */
template <class T> struct AmdMma : QuadOperands<T> {
  using Base = QuadOperands<T>;
  static PMLA_DEVICE int rowOf(int lane, int r) { return lane / 16 * 4 + r; }

  using Shorts = __attribute__((ext_vector_type(4))) short;
  using Pair = __attribute__((ext_vector_type(2))) short;
  using Halves = __attribute__((ext_vector_type(4))) _Float16;
  using Sums = __attribute__((ext_vector_type(4))) float;

  static PMLA_DEVICE void multiply(float (&sums)[4], const typename Base::Left &left, const typename Base::Right &right) {
    Sums all = {sums[0], sums[1], sums[2], sums[3]};
    if constexpr (std::is_same_v<T, F16>) {
      all = __builtin_amdgcn_mfma_f32_16x16x16f16(Base::template bits<Halves>(left), Base::template bits<Halves>(right), all, 0, 0, 0);
    } else {
      const auto a = Base::template bits<Shorts>(left);
      const auto b = Base::template bits<Shorts>(right);
#if defined(__gfx908__)
      // Eight deep only: the order of k is free as long as both operands have the same.
      all = __builtin_amdgcn_mfma_f32_16x16x8bf16(Pair{a[0], a[1]}, Pair{b[0], b[1]}, all, 0, 0, 0);
      all = __builtin_amdgcn_mfma_f32_16x16x8bf16(Pair{a[2], a[3]}, Pair{b[2], b[3]}, all, 0, 0, 0);
#else
      all = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a, b, all, 0, 0, 0);
#endif
    }
    PMLA_UNROLL
    for (int i = 0; i < 4; i++) sums[i] = all[i];
  }
};

} // namespace polymla
