#pragma once
#include "few-rows-consume.cuh"
#include "few-rows-feed.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** Grid: partitions × blocks of N rows × KV heads, all resident when any request is split. */
template <class T, int N>
__global__ void __launch_bounds__(FewRows<T, N>::threads, 1)
    fewRowsDecode(const __grid_constant__ CUtensorMap cacheMap, const __grid_constant__ DecodeParams<T> params) {
  using Kernel = FewRows<T, N>;
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<typename Kernel::Shared*>(memory);
  FewRowsFeed<T, N>::prefetchFirst(cacheMap, params);
  const ScheduleRow row = params.schedule[blockIdx.x];
  if (row.beginRequest > row.endRequest) return;
  if (threadIdx.x == 0) {
    for (auto& barrier : shared.splitWritten) ptx::init(barrier, Kernel::consumerThreads);
    Kernel::Ring::init(shared.barriers, Kernel::consumerWarps);
    ptx::fenceBarrierInit();
  }
  if (threadIdx.x < N) shared.places[threadIdx.x] = RowPlaces::of(params, blockIdx.y * N + threadIdx.x);
  __syncthreads();
  const int warp = threadIdx.x / 32;
  if (warp < Kernel::consumerWarps) {
    FewRowsConsume<T, N>::consume(params, shared, row);
  } else if (warp == Kernel::consumerWarps) {
    FewRowsFeed<T, N>::produce(&cacheMap, params, shared, row);
  } else {
    FewRowsFeed<T, N>::announce(params, shared, row);
  }
}

}  // namespace polymla
