#pragma once
#include <cstdint>

#include "address.cuh"

namespace polymla::ptx {

/** Starts copying 16 bytes into shared memory without passing through registers; zeros where not `present`. */
__device__ __forceinline__ void copyAsync16(void* destination, const void* source, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(destination)), "l"(source),
               "r"(present ? 16 : 0)
               : "memory");
}

/** Waits for all copies this thread has started. */
__device__ __forceinline__ void waitCopies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace polymla::ptx
