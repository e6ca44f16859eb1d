#pragma once
#include <cstdint>

namespace polymla::ptx {

/** Barrier `Id` (1 to 15; 0 is __syncthreads) among `Threads` threads, a multiple of 32. */
template <int Id, int Threads>
__device__ __forceinline__ void syncThreads() {
  asm volatile("bar.sync %0, %1;" ::"n"(Id), "n"(Threads) : "memory");
}

/** Counts this warp in at barrier `Id` without waiting for the others. */
template <int Id, int Threads>
__device__ __forceinline__ void arriveThreads() {
  asm volatile("bar.arrive %0, %1;" ::"n"(Id), "n"(Threads) : "memory");
}

/**
 * Orders this thread's ordinary shared-memory stores before reads by the tensor cores and the copy engine. Needed in
 * each writing thread, ahead of the barrier that tells the others.
 */
__device__ __forceinline__ void fenceAsyncProxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

}  // namespace polymla::ptx
