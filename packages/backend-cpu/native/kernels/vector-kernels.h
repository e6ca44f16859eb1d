#pragma once

#include "attention-f32.h"
#include "gather.h"
#include "measure.h"

namespace polymla::cpu {
namespace {

/** The kernels of an instruction set that multiplies in fp32 only, all made of its vector type. */
template <class V> struct VectorKernels {
  /** Keys of 16 bits are converted on their way, which spares memory. */
  static Compute compute(uint32_t, uint32_t format) {
    return format == PMLA_KV_BF16 ? Compute::Bf16 : format == PMLA_KV_F16 ? Compute::F16 : Compute::F32;
  }
  static Compute computeInPlace(uint32_t dtype, uint32_t format, int) { return compute(dtype, format); }
  static bool direct(uint32_t format, Compute compute) {
    bool same = false;
    withKeys<V>(compute, [&](auto keys) { same = format == keys.dtype; });
    return same;
  }

  static constexpr Kernels named(const char *name, bool (*usable)()) {
    using Attention = AttentionF32<V>;
    return {
        name,
        usable,
        compute,
        computeInPlace,
        Attention::stateBytes,
        Attention::begin,
        Attention::attend,
        Attention::finish,
        gatherTokens<V>,
        direct,
        encodeNumbers<V>,
        decodeNumbers<V>,
        accumulateNumbers<V>,
        peakF32<V>,
        noUnit,
        readAll<V>,
    };
  }
};

} // namespace
} // namespace polymla::cpu
