#pragma once
#include <cstdint>

#include "address.cuh"

namespace polymla::ptx {

/**
 * Stores four 8 × 8 matrices of 16-bit elements held by a warp, each as transpose8x8 says but transposed: what a lane holds
 * side by side lies in two rows. Lane i gives the address of row i % 8 of matrix i / 8, 16 bytes.
 */
__device__ __forceinline__ void storeMatricesTransposed(void* row, const uint32_t* pairs) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(sharedAddress(row)),
               "r"(pairs[0]), "r"(pairs[1]), "r"(pairs[2]), "r"(pairs[3])
               : "memory");
}

}  // namespace polymla::ptx
