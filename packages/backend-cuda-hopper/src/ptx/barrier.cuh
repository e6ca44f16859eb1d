#pragma once
#include <cstdint>

namespace polymla::ptx {

/** Barrier `Id` (1 to 15; 0 is __syncthreads) among `Threads` threads, a multiple of 32. */
template <int Id, int Threads>
__device__ __forceinline__ void syncThreads() {
  asm volatile("bar.sync %0, %1;" ::"n"(Id), "n"(Threads) : "memory");
}

/** The same with an id that is known at run time. */
template <int Threads>
__device__ __forceinline__ void syncThreads(int id) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "n"(Threads) : "memory");
}

/** The same, which also tells whether `value` was true in any of the threads. */
template <int Threads>
__device__ __forceinline__ bool syncAny(int id, bool value) {
  uint32_t any;
  asm volatile(
      "{\n"
      ".reg .pred mine, all;\n"
      "setp.ne.u32 mine, %3, 0;\n"
      "bar.red.or.pred all, %1, %2, mine;\n"
      "selp.u32 %0, 1, 0, all;\n"
      "}\n"
      : "=r"(any)
      : "r"(id), "n"(Threads), "r"(value ? 1 : 0)
      : "memory");
  return any != 0;
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
