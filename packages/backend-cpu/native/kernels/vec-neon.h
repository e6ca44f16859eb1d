#pragma once

#include <arm_neon.h>

#include "vec.h"

namespace polymla::cpu {
namespace {

/** AArch64: 32 registers of 4 floats. */
struct NeonVec : Vec<4> {
  static constexpr int accumulators = 24;
  static constexpr int rowVectors = 2;
  static constexpr int fewRows = 4;

  static Floats fma(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
  static Floats max(Floats a, Floats b) { return vmaxq_f32(a, b); }
  static Floats broadcastQuad(const float *source) { return load(source); }
  static Floats sumQuads(Floats a, Floats b, Floats c, Floats d) {
    return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
  }
  static void sum4(float *to, Floats a, Floats b, Floats c, Floats d) { store(to, sumQuads(a, b, c, d)); }

  static Floats loadBf16(const void *codes) { return vreinterpretq_f32_u32(vshll_n_u16(load16(codes), 16)); }
  static Floats loadF16(const void *codes) { return vcvt_f32_f16(vreinterpret_f16_u16(load16(codes))); }
  /** By way of f16, whose exponents reach further by 8; NaN becomes f16's own. */
  static Floats loadE4m3(const void *codes) {
    uint32_t four;
    std::memcpy(&four, codes, sizeof four);
    const uint16x4_t code = vget_low_u16(vmovl_u8(vcreate_u8(four)));
    const uint16x4_t magnitude = vand_u16(code, vdup_n_u16(0x7f));
    const uint16x4_t sign = vshl_n_u16(veor_u16(code, magnitude), 8);
    const uint16x4_t nan = vshr_n_u16(vceq_u16(magnitude, vdup_n_u16(0x7f)), 1);
    const uint16x4_t f16 = vorr_u16(vorr_u16(vshl_n_u16(magnitude, 7), sign), nan);
    return vmulq_n_f32(vcvt_f32_f16(vreinterpret_f16_u16(f16)), 256);
  }
  static void storeBf16(void *codes, Floats a) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t kept = vbslq_u32(vceqq_f32(a, a), rounded, vdupq_n_u32(0x7fc00000));
    store16(codes, vshrn_n_u32(kept, 16));
  }
  static void storeF16(void *codes, Floats a) { store16(codes, vreinterpret_u16_f16(vcvt_f16_f32(a))); }

private:
  static uint16x4_t load16(const void *codes) {
    uint16x4_t value;
    std::memcpy(&value, codes, sizeof value);
    return value;
  }
  static void store16(void *codes, uint16x4_t value) { std::memcpy(codes, &value, sizeof value); }
};

} // namespace
} // namespace polymla::cpu
