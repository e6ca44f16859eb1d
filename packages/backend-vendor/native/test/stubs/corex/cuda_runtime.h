#pragma once
// What a compiler must see of Iluvatar's CUDA look-alike to check the kernels' dialect, written for clang's nvptx target
// without any toolkit. It is no part of CoreX and none of its text.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define __host__ __attribute__((host))
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(threads, ...) __attribute__((launch_bounds(threads)))
#define __align__(bytes) __attribute__((aligned(bytes)))

#include <__clang_cuda_builtin_vars.h>

struct dim3 {
  unsigned x, y, z;
  __host__ __device__ dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };

using cudaStream_t = struct CUstream_st *;
using cudaEvent_t = struct CUevent_st *;
using cudaGraph_t = struct CUgraph_st *;
using cudaGraphExec_t = struct CUgraphExec_st *;
enum cudaError_t { cudaSuccess };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaDeviceProp;
cudaError_t cudaMallocHost(void **memory, size_t bytes, unsigned flags = 0);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaGetLastError();
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*call)(void *), void *data);
cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value);
cudaError_t cudaConfigureCall(dim3 grid, dim3 block, size_t shared = 0, cudaStream_t stream = nullptr);
extern "C" unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared = 0, void *stream = nullptr);

extern "C" {
__device__ void __nv_trap();
__device__ float __nv_exp2f(float);
__device__ float __nv_log2f(float);
__device__ float __nv_expf(float);
__device__ float __nv_logf(float);
__device__ double __nv_exp(double);
__device__ double __nv_log(double);
__device__ float __nv_shfl_xor(float value, int step, int width);
__device__ double __nv_shfl_xor_double(double value, int step, int width);
__device__ long long __nv_shfl_xor_long(long long value, int step, int width);
__device__ float __nv_half2float(unsigned short code);
__device__ unsigned short __nv_float2half(float value);
}
__device__ inline void *memcpy(void *to, const void *from, size_t bytes) { return __builtin_memcpy(to, from, bytes); }
__device__ inline void __trap() { __builtin_trap(); }
__device__ inline float exp2f(float x) { return __nv_exp2f(x); }
__device__ inline float log2f(float x) { return __nv_log2f(x); }
__device__ inline float expf(float x) { return __nv_expf(x); }
__device__ inline float logf(float x) { return __nv_logf(x); }
__device__ inline double exp(double x) { return __nv_exp(x); }
__device__ inline double log(double x) { return __nv_log(x); }
__device__ inline float fmaxf(float a, float b) { return a < b ? b : a; }
__device__ inline double fmax(double a, double b) { return a < b ? b : a; }
__device__ inline double fabs(double x) { return x < 0 ? -x : x; }
__device__ inline float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__device__ inline bool isfinite(float x) { return x - x == 0; }
__device__ inline double __dmul_rn(double a, double b) { return a * b; }
__device__ inline double __dadd_rn(double a, double b) { return a + b; }
template <class T> __device__ T min(T a, T b) { return b < a ? b : a; }
template <class T> __device__ T max(T a, T b) { return a < b ? b : a; }

__device__ inline float __shfl_xor(float value, int step, int width) { return __nv_shfl_xor(value, step, width); }
__device__ inline double __shfl_xor(double value, int step, int width) { return __nv_shfl_xor_double(value, step, width); }
__device__ inline int64_t __shfl_xor(int64_t value, int step, int width) { return __nv_shfl_xor_long(value, step, width); }
template <class T> __device__ T __shfl_xor_sync(uint64_t, T value, int step, int width) { return __shfl_xor(value, step, width); }
