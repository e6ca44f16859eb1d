#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace polymla::ptx {

/** Rows of A and D in one instruction, and 16-bit elements of its inner dimension. */
constexpr int mmaRows = 64;
constexpr int mmaDepth = 16;

/**
 * Descriptor of an operand in 128-byte-swizzled shared memory: tiles of 128-byte rows whose 16-byte chunks are
 * permuted by chunk ^= row & 7, 8 rows every `strideBytes` bytes, these and tiles at multiples of 1,024 bytes.
 *
 * Inner dimension contiguous (K-major): an instruction's 16 elements are 32 bytes of each row, the next step starts
 * 32 bytes on. Outer dimension contiguous (transposed): 64 elements of it fill a row, a row is one element of the inner
 * dimension, the next step starts 16 rows (twice `strideBytes`) on. Both verified on an H200.
 */
__device__ __forceinline__ uint64_t swizzledOperand(uint32_t address, uint32_t strideBytes = 1024) {
  constexpr uint64_t swizzle128 = 1ull << 62;
  const uint64_t stride = static_cast<uint64_t>(strideBytes >> 4) << 32;
  // Distance of 64-element tiles in the contiguous dimension: one instruction here stays inside one tile.
  constexpr uint64_t leading = 1ull << 16;
  return swizzle128 | stride | leading | ((address & 0x3FFFF) >> 4);
}

/** The same operand `bytes` further on: cheaper than a descriptor from scratch, and there are several per page and tile. */
__device__ __forceinline__ uint64_t advance(uint64_t operand, uint32_t bytes) { return operand + (bytes >> 4); }

/** Bytes from one step's operand to the next, K-major and, with 8 rows every 1,024 bytes, transposed. */
constexpr uint32_t stepBytes = 32;
constexpr uint32_t stepBytesTransposed = 2048;

/** Orders this warpgroup's register and shared-memory accesses before the multiplications that follow. */
__device__ __forceinline__ void mmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void mmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/** Waits until at most `Pending` committed groups are unfinished. */
template <int Pending>
__device__ __forceinline__ void mmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/**
 * Keeps the compiler from moving accesses to accumulators across this point: before mmaFence for values just written,
 * after mmaWait for results.
 */
template <int Count>
__device__ __forceinline__ void pinAccumulators(float (&d)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define POLYMLA_WGMMA_16(TYPE)                                                                                    \
  asm volatile(                                                                                                   \
      "wgmma.mma_async.sync.aligned.m64n16k16.f32." TYPE "." TYPE                                                 \
      " {%0, %1, %2, %3, %4, %5, %6, %7}, %8, %9, 1, 1, 1, %10, %11;"                                           \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])            \
      : "l"(a), "l"(b), "n"(TransposeA ? 1 : 0), "n"(TransposeB ? 1 : 0))

#define POLYMLA_WGMMA_32(TYPE)                                                                                    \
  asm volatile(                                                                                                   \
      "wgmma.mma_async.sync.aligned.m64n32k16.f32." TYPE "." TYPE                                                 \
      " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, %16, %17, 1, 1, 1, %18, %19;"   \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),           \
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])      \
      : "l"(a), "l"(b), "n"(TransposeA ? 1 : 0), "n"(TransposeB ? 1 : 0))

/**
 * D += A·B with D 64 × N in registers: lane l of warp w holds in d[i] row 16 w + 8 ((i / 2) & 1) + l / 4 and column
 * 8 (i / 4) + 2 (l % 4) + (i & 1) (verified on an H200).
 */
template <class T, int N, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void mma(float (&d)[N / 2], uint64_t a, uint64_t b) {
  static_assert(N == 16 || N == 32);
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
  if constexpr (N == 16) {
    if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      POLYMLA_WGMMA_16("bf16");
    } else {
      POLYMLA_WGMMA_16("f16");
    }
  } else {
    if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      POLYMLA_WGMMA_32("bf16");
    } else {
      POLYMLA_WGMMA_32("f16");
    }
  }
}

#undef POLYMLA_WGMMA_16
#undef POLYMLA_WGMMA_32

}  // namespace polymla::ptx
