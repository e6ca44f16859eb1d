#pragma once
#include <cuda.h>

#include <cstdint>

#include "address.cuh"
#include "mbarrier.cuh"

namespace polymla::ptx {

__device__ __forceinline__ void prefetchTensorMap(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(reinterpret_cast<uint64_t>(map)) : "memory");
}

/** Starts fetching a cache line into L2. */
__device__ __forceinline__ void prefetchLine(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address) : "memory");
}

/** Starts fetching `bytes` (a multiple of 16) into L2. */
__device__ __forceinline__ void prefetchL2(const void* source, uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(source), "r"(bytes) : "memory");
}

/** Brings a box of a rank-5 tensor into L2. */
__device__ __forceinline__ void prefetchBox(const CUtensorMap* map, int c0, int c1, int c2, int c3, int c4) {
  asm volatile("cp.async.bulk.prefetch.tensor.5d.L2.global [%0, {%1, %2, %3, %4, %5}];" ::"l"(reinterpret_cast<uint64_t>(map)), "r"(c0),
               "r"(c1), "r"(c2), "r"(c3), "r"(c4)
               : "memory");
}

/** How long L2 keeps what a copy brings in: as without a policy, or shorter than all else. */
enum class Keep { usual, least };

/** The same as an operand of copies. (A policy of usual keeping, "evict_normal", is another: copies with it take 20% longer.) */
__device__ __forceinline__ uint64_t cachePolicy(Keep keep) {
  uint64_t usual, least;
  asm("createpolicy.fractional.L2::evict_unchanged.b64 %0, 1.0;" : "=l"(usual));
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(least));
  return keep == Keep::usual ? usual : least;
}

/** Copies one box of a rank-5 tensor into shared memory; its bytes complete on `barrier`. */
__device__ __forceinline__ void loadBox(void* destination, const CUtensorMap* map, MBarrier& barrier, int c0, int c1,
                                        int c2, int c3, int c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6, %7}], "
      "[%2];" ::"r"(sharedAddress(destination)),
      "l"(reinterpret_cast<uint64_t>(map)), "r"(sharedAddress(&barrier)), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
      : "memory");
}

/** The same with a cachePolicy. */
__device__ __forceinline__ void loadBox(void* destination, const CUtensorMap* map, MBarrier& barrier, uint64_t policy, int c0,
                                        int c1, int c2, int c3, int c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1, {%3, %4, %5, %6, %7}], [%2], %8;" ::"r"(sharedAddress(destination)),
      "l"(reinterpret_cast<uint64_t>(map)), "r"(sharedAddress(&barrier)), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4), "l"(policy)
      : "memory");
}

}  // namespace polymla::ptx
