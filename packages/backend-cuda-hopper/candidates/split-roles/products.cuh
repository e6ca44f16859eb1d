#pragma once
#include "../../src/ptx/matrix.cuh"
#include "../../src/ptx/wgmma-wide.cuh"

// What this kernel needs beside src/ptx.

namespace polymla::ptx {

/**
 * Stores four 8 × 8 matrices of 16-bit elements held by a warp, each as transpose8x8 says; lane i gives the
 * shared address of row i % 8 of matrix i / 8, 16 bytes.
 */
__device__ __forceinline__ void storeMatricesAt(uint32_t row, const uint32_t* pairs) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row), "r"(pairs[0]), "r"(pairs[1]), "r"(pairs[2]), "r"(pairs[3])
               : "memory");
}

/** Loads what storeMatricesAt stored. */
__device__ __forceinline__ void loadMatrices(uint32_t* pairs, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
               : "r"(sharedAddress(row))
               : "memory");
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

#define POLYMLA_D8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define POLYMLA_D32(i) POLYMLA_D8(i), POLYMLA_D8(i + 8), POLYMLA_D8(i + 16), POLYMLA_D8(i + 24)
#define POLYMLA_D32_NAMES \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
  "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"

#define POLYMLA_WGMMA_64_REGISTERS(TYPE)                                                   \
  asm volatile(                                                                            \
      "{\n"                                                                                \
      ".reg .pred accumulate;\n"                                                           \
      "setp.ne.b32 accumulate, %37, 0;\n"                                                  \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {" POLYMLA_D32_NAMES   \
      "}, {%32, %33, %34, %35}, %36, accumulate, 1, 1, 0;\n"                               \
      "}\n"                                                                                \
      : POLYMLA_D32(0)                                                                     \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate ? 1 : 0))

/**
 * mmaSquare with A, 64 × 16, in registers: lane l of warp w holds in a[i] row 16 w + 8 (i & 1) + l / 4, columns
 * 8 (i / 2) + 2 (l % 4) and the next.
 */
template <class T>
__device__ __forceinline__ void mmaSquare(float (&d)[32], const uint32_t* a, uint64_t b, bool accumulate) {
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    POLYMLA_WGMMA_64_REGISTERS("bf16");
  } else {
    POLYMLA_WGMMA_64_REGISTERS("f16");
  }
}

#undef POLYMLA_WGMMA_64_REGISTERS
#undef POLYMLA_D32_NAMES
#undef POLYMLA_D32
#undef POLYMLA_D8

}  // namespace polymla::ptx
