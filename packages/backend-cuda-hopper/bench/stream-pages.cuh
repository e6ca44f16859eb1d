#pragma once
#include "../src/decode/page-ring.cuh"

namespace polymla::bench {

/**
 * Streams pages into shared memory and does nothing else: the floor of every memory-bound decode kernel, with the same
 * copies. CTA i takes an equal share of the page ids.
 */
template <class Ring>
__global__ void __launch_bounds__(64, 1)
    streamPages(const __grid_constant__ CUtensorMap cacheMap, const int32_t* ids, int count, int pages) {
  struct Shared {
    alignas(1024) uint8_t ring[Ring::bytes];
    typename Ring::Barriers barriers;
  };
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<Shared*>(memory);
  if (threadIdx.x == 0) {
    Ring::init(shared.barriers, 1);
    ptx::fenceBarrierInit();
  }
  __syncthreads();
  const int64_t total = count;
  const int begin = static_cast<int>(total * blockIdx.x / gridDim.x);
  const int end = static_cast<int>(total * (blockIdx.x + 1) / gridDim.x);
  const int lane = threadIdx.x % 32;
  typename Ring::Cursor page;
  const uint64_t policy = ptx::cachePolicy(ptx::Keep::usual);
  if (threadIdx.x < 32) {
    int upcoming = begin + lane < end ? ids[begin + lane] : 0;
    for (int base = begin; base < end; base += 32) {
      const int mine = upcoming;
      upcoming = base + 32 + lane < end ? ids[base + 32 + lane] : 0;
      for (int index = 0; index < min(32, end - base); index++) {
        const int id = __shfl_sync(~0u, mine, index);
        Ring::load(shared.ring, shared.barriers, page, &cacheMap, policy, 0, id, 0, 0, pages);
        page.nextPage();
      }
    }
  } else if (lane == 0) {
    for (int index = begin; index < end; index++) {
      Ring::waitFull(shared.barriers, page);
      Ring::release(shared.barriers, page);
      page.nextPage();
    }
  }
}

}  // namespace polymla::bench
