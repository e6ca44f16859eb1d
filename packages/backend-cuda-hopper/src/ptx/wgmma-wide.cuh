#pragma once
#include "address.cuh"
#include "wgmma.cuh"

namespace polymla::ptx {

/** Distance of the 64-element tiles of a wide transposed operand. */
constexpr uint32_t wideTileBytes = 8192;

/**
 * Descriptor of a transposed B wider than 64: 64-element tiles of its contiguous dimension, each laid out as
 * swizzledOperand says, `wideTileBytes` apart. Verified on an H200.
 */
__device__ __forceinline__ uint64_t wideOperandTransposed(uint32_t address) {
  return swizzledOperand(address) + (static_cast<uint64_t>((wideTileBytes >> 4) - 1) << 16);
}

#define POLYMLA_D8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define POLYMLA_D32(i) POLYMLA_D8(i), POLYMLA_D8(i + 8), POLYMLA_D8(i + 16), POLYMLA_D8(i + 24)
#define POLYMLA_D64 POLYMLA_D32(0), POLYMLA_D32(32)
#define POLYMLA_D32_NAMES \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
  "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define POLYMLA_D64_NAMES \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
  "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, " \
  "%40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, " \
  "%59, %60, %61, %62, %63"

#define POLYMLA_WGMMA_64(TYPE)                                                             \
  asm volatile(                                                                            \
      "{\n"                                                                                \
      ".reg .pred accumulate;\n"                                                           \
      "setp.ne.b32 accumulate, %34, 0;\n"                                                  \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {" POLYMLA_D32_NAMES   \
      "}, %32, %33, accumulate, 1, 1, 0, 0;\n"                                             \
      "}\n"                                                                                \
      : POLYMLA_D32(0)                                                                     \
      : "l"(a), "l"(b), "r"(accumulate ? 1 : 0))

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

#define POLYMLA_WGMMA_128(TYPE)                                                                     \
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " {" POLYMLA_D64_NAMES \
               "}, %64, %65, 1, 1, 1, 0, 1;"                                                      \
               : POLYMLA_D64                                                                       \
               : "l"(a), "l"(b))

/** D := A·B, or D += A·B where `accumulate`, D 64 × 64 in registers as in mma; A and B K-major in shared memory. */
template <class T>
__device__ __forceinline__ void mmaSquare(float (&d)[32], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    POLYMLA_WGMMA_64("bf16");
  } else {
    POLYMLA_WGMMA_64("f16");
  }
}

/**
 * The same with A, 64 × 16, in registers: lane l of warp w holds in a[i] row 16 w + 8 (i & 1) + l / 4, columns
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

/** D += A·B with D 64 × 128 in registers as in mma, A K-major, B transposed, both in shared memory. */
template <class T>
__device__ __forceinline__ void mmaWide(float (&d)[64], uint64_t a, uint64_t b) {
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    POLYMLA_WGMMA_128("bf16");
  } else {
    POLYMLA_WGMMA_128("f16");
  }
}

#undef POLYMLA_WGMMA_64
#undef POLYMLA_WGMMA_64_REGISTERS
#undef POLYMLA_WGMMA_128
#undef POLYMLA_D8
#undef POLYMLA_D32
#undef POLYMLA_D64
#undef POLYMLA_D32_NAMES
#undef POLYMLA_D64_NAMES

}  // namespace polymla::ptx
