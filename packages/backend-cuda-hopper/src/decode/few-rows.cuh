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
  if (threadIdx.x / 32 == Kernel::consumerWarps) {
    FewRowsFeed<T, N>::produce(&cacheMap, params, shared);
  } else {
    FewRowsConsume<T, N>::consume(params, shared);
  }
}

}  // namespace polymla
