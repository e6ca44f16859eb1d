#pragma once
#include <cstdint>

#include "../ptx/mbarrier.cuh"

namespace polymla {

/**
 * A barrier in device memory among the CTAs of one request's splits, all of them resident. Counts every CTA twice, on
 * arrival and on leaving, and returns to 0 by itself: no reset between launches.
 */
struct Arrival {
  uint32_t* counter;
  uint32_t members;

  /** By one thread, after a CTA barrier that follows the CTA's writes. */
  __device__ void arrive() const {
    asm volatile("red.release.gpu.global.inc.u32 [%0], %1;" ::"l"(counter), "r"(last()) : "memory");
  }

  /** By one thread; a CTA barrier must follow for the other threads to read what the members wrote. */
  __device__ void wait() const {
    uint32_t seen = 0;
    for (uint32_t tries = 0; seen < members; tries++) {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
      if (tries == ptx::maxBarrierTries) __trap();
    }
    // Orders nothing: only the launch after this one must find 0.
    asm volatile("red.relaxed.gpu.global.inc.u32 [%0], %1;" ::"l"(counter), "r"(last()) : "memory");
  }

 private:
  /** The value that the next increment turns into 0. */
  __device__ uint32_t last() const { return 2 * members - 1; }
};

}  // namespace polymla
