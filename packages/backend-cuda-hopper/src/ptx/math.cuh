#pragma once

namespace polymla::ptx {

/** 2^x to about 2^-22; 0 for −∞. */
__device__ __forceinline__ float exp2Fast(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/** log2 x to an absolute error of about 2^-22; −∞ for 0. */
__device__ __forceinline__ float log2Fast(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

}  // namespace polymla::ptx
