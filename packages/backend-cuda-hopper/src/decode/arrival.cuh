#pragma once
#include <cstdint>

#include "../ptx/mbarrier.cuh"

namespace polymla {

/**
 * A barrier in device memory among the CTAs of one request's splits, all of them resident. Counts the arrivals of every
 * CTA and its leaving, and returns to 0 by itself: no reset between launches.
 */
struct Arrival {
  uint32_t* counter;
  uint32_t members;
  uint32_t waiting = members;  ///< those that call wait

  /** By one thread, after a barrier that follows the writes it speaks for. */
  __device__ void arrive() const {
    asm volatile("red.release.gpu.global.inc.u32 [%0], %1;" ::"l"(counter), "r"(last()) : "memory");
  }

  /** By one thread; a CTA barrier must follow for the other threads to read what the members wrote. */
  __device__ void wait() const {
    uint32_t seen = 0;
    for (uint32_t tries = 0; seen < members; tries++) {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
      if (tries == ptx::maxBarrierTries) ptx::fail();
    }
    // Orders nothing: only the launch after this one must find 0.
    asm volatile("red.relaxed.gpu.global.inc.u32 [%0], %1;" ::"l"(counter), "r"(last()) : "memory");
  }

 private:
  /** The value that the next increment turns into 0. */
  __device__ uint32_t last() const { return members + waiting - 1; }
};

}  // namespace polymla
