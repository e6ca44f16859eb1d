#pragma once
#include <type_traits>

#include "quad-operands.h"

namespace polymla {

/**
 * v_mmac_f32_16x16x16 of Hygon's DCUs (gfx928 and newer), which have no MFMA. A result has row l % 16 of its first operand
 * and columns l / 16 + 4 · i of its second: the operands change places, so that a row's values stay within 32 lanes.
 * Never compiled by Hygon's compiler, never run.
 */
template <class T> struct HygonMma : QuadOperands<T> {
  using Base = QuadOperands<T>;
  static PMLA_DEVICE int rowOf(int lane, int r) { return lane / 16 + 4 * r; }

  using Codes = __attribute__((ext_vector_type(2))) uint32_t;
  using Sums = __attribute__((ext_vector_type(4))) float;

  static PMLA_DEVICE void multiply(float (&sums)[4], const typename Base::Left &left, const typename Base::Right &right) {
    Sums all = {sums[0], sums[1], sums[2], sums[3]};
    const auto first = Base::template bits<Codes>(right);
    const auto second = Base::template bits<Codes>(left);
    if constexpr (std::is_same_v<T, F16>) {
      asm volatile("v_mmac_f32_16x16x16_f16 %0, %1, %2, %0" : "+v"(all) : "v"(first), "v"(second));
    } else {
      asm volatile("v_mmac_f32_16x16x16_bf16 %0, %1, %2, %0" : "+v"(all) : "v"(first), "v"(second));
    }
    PMLA_UNROLL
    for (int i = 0; i < 4; i++) sums[i] = all[i];
  }
};

} // namespace polymla
