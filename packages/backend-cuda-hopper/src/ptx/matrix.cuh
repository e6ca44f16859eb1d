#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace polymla::ptx {

/** Transposes an 8 × 8 matrix of 16-bit elements held by a warp, lane i with elements 2(i % 4) and the next of row i / 4. */
__device__ __forceinline__ uint32_t transpose8x8(uint32_t pair) {
  uint32_t transposed;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
  return transposed;
}

/** Transposes 4 × 4 values held by the four lanes of a quad, a row each. */
__device__ __forceinline__ void transposeQuad(uint32_t (&v)[4]) {
#pragma unroll
  for (int step = 1; step <= 2; step *= 2) {
    const bool second = threadIdx.x & step;
#pragma unroll
    for (int low = 0; low < 4; low++) {
      if (low & step) continue;
      uint32_t& a = v[low];
      uint32_t& b = v[low + step];
      const uint32_t received = __shfl_xor_sync(~0u, second ? a : b, step);
      (second ? a : b) = received;
    }
  }
}

/** Rounds two floats to 16 bits, the first in the low half. */
template <class T>
__device__ __forceinline__ uint32_t pack(float low, float high);

template <>
__device__ __forceinline__ uint32_t pack<__nv_bfloat16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

template <>
__device__ __forceinline__ uint32_t pack<__half>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

/** The two values of pack. */
template <class T>
__device__ __forceinline__ float2 unpack(uint32_t pair);

template <>
__device__ __forceinline__ float2 unpack<__nv_bfloat16>(uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000));
}

template <>
__device__ __forceinline__ float2 unpack<__half>(uint32_t pair) {
  return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

}  // namespace polymla::ptx
