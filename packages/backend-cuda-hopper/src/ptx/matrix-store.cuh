#pragma once
#include <cstdint>

namespace polymla::ptx {

/**
 * Stores four 8 × 8 matrices of 16-bit elements held by a warp, each as transpose8x8 says; lane i gives the
 * shared address of row i % 8 of matrix i / 8, 16 bytes.
 */
__device__ __forceinline__ void storeMatrices(uint32_t row, const uint32_t* pairs) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row), "r"(pairs[0]), "r"(pairs[1]),
               "r"(pairs[2]), "r"(pairs[3])
               : "memory");
}

/** Loads what storeMatrices stored. */
__device__ __forceinline__ void loadMatrices(uint32_t* pairs, uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
               : "r"(row)
               : "memory");
}

}  // namespace polymla::ptx
