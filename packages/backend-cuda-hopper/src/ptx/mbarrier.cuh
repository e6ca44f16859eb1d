#pragma once
#include <cstdint>

#include "address.cuh"

namespace polymla::ptx {

/** A transaction barrier in shared memory. Phases alternate parity, starting with 0. */
struct alignas(8) MBarrier {
  uint64_t state;
};

// compute-sanitizer's racecheck follows a barrier only from the threads that arrive there, not from those that met one of
// them at a warp's barrier before, and slows all down so much that nothing can be taken for broken: for it, every lane arrives.
#ifdef POLYMLA_RACECHECK
constexpr int arrivalsPerWarp = 32;
constexpr uint32_t maxBarrierTries = ~0u;
#else
constexpr int arrivalsPerWarp = 1;
/** Waits after which a barrier is taken for broken: seconds, where a phase takes microseconds. */
constexpr uint32_t maxBarrierTries = 1u << 22;
#endif

__device__ __forceinline__ void init(MBarrier& barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(&barrier)), "r"(arrivals) : "memory");
}

/** Makes initialised barriers visible to the copy engine; a CTA barrier must follow for the other threads. */
__device__ __forceinline__ void fenceBarrierInit() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(MBarrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(&barrier)) : "memory");
}

/** Arrives for a warp, arrivalsPerWarp times, with what all of its lanes have read and written. */
__device__ __forceinline__ void arriveWarp(MBarrier& barrier) {
  __syncwarp();
  if (arrivalsPerWarp > 1 || threadIdx.x % 32 == 0) arrive(barrier);
}

/** Arrives and adds `bytes` that the copy engine will complete to what the phase waits for. */
__device__ __forceinline__ void arriveExpect(MBarrier& barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(&barrier)), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ bool tryWait(MBarrier& barrier, uint32_t parity) {
  uint32_t done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(sharedAddress(&barrier)), "r"(parity)
      : "memory");
  return done != 0;
}

/** Whether the phase of this parity is complete; tryWait may wait for it for a while. */
__device__ __forceinline__ bool isComplete(MBarrier& barrier, uint32_t parity) {
  uint32_t done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(sharedAddress(&barrier)), "r"(parity)
      : "memory");
  return done != 0;
}

/**
 * Fails the launch, by a write to address 0. A trap instruction would end all warps in one common place, and ptxas then
 * gives no warpgroup more registers than it gives all (setmaxnreg takes no effect on the allocation).
 */
__device__ __forceinline__ void fail() { asm volatile("st.global.u32 [%0], %1;" ::"l"(0ull), "r"(0) : "memory"); }

/** Waits for the phase of this parity to complete. Fails rather than hangs when it never does. */
__device__ __forceinline__ void wait(MBarrier& barrier, uint32_t parity) {
  for (uint32_t tries = 0; !tryWait(barrier, parity); tries++) {
    if (tries == maxBarrierTries) fail();
  }
}

}  // namespace polymla::ptx
