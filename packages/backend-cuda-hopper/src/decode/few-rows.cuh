#pragma once
#include "../ptx/registers.cuh"
#include "few-rows-consume.cuh"
#include "few-rows-feed.cuh"
#include "few-rows-halves.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** Grid: partitions × blocks of N rows × KV heads, all resident when any request is split. */
template <class T, int N, int HeadDim>
__global__ void __launch_bounds__(FewRows<T, N, HeadDim>::ctaThreads, 1)
    fewRowsDecode(const __grid_constant__ DecodeParams<T> params) {
  using Kernel = FewRows<T, N, HeadDim>;
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<typename Kernel::Shared*>(memory);
  if (threadIdx.x / 32 >= Kernel::consumerWarps) {
    if constexpr (N == 64) ptx::giveRegisters<Kernel::producerRegisters>();
    if (threadIdx.x / 32 != Kernel::consumerWarps) return;
    // Computed once: the compiler would otherwise derive the address anew at every use, which takes longer than the use.
    uint32_t base = ptx::sharedAddress(memory);
    asm volatile("" : "+r"(base));
    FewRowsFeed<T, N, HeadDim>::produce(params, *reinterpret_cast<typename Kernel::Shared*>(__cvta_shared_to_generic(base)));
  } else {
    if constexpr (N == 64) ptx::takeRegisters<Kernel::consumerRegisters>();
    FewRowsConsume<T, N, HeadDim>::consume(params, shared);
  }
}

}  // namespace polymla
