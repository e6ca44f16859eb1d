#pragma once
#include <cuda_runtime.h>

struct __half {
  unsigned short code;
};
__device__ inline __half __ushort_as_half(unsigned short code) { return {code}; }
__device__ inline unsigned short __half_as_ushort(__half value) { return value.code; }
__device__ inline float __half2float(__half value) { return __nv_half2float(value.code); }
__device__ inline __half __float2half_rn(float value) { return {__nv_float2half(value)}; }
