#pragma once
#include "../ptx/dependent-launch.cuh"
#include "../ptx/registers.cuh"
#include "many-rows-feed.cuh"
#include "many-rows-scores.cuh"
#include "many-rows-shared.cuh"
#include "many-rows-values.cuh"

namespace polymla {

/**
 * Grid: partitions × blocks of 64 rows × KV heads, all resident when any request is split.
 *
 * @tparam brief whether L2 should keep pages the least, as for briefPages: a kernel of its own, since the choice between two
 * requests would cost the copying warps 1% of long problems
 */
template <class T, bool brief>
__global__ void __launch_bounds__(ManyRows<T>::threads, 1)
    manyRowsDecode(const __grid_constant__ DecodeParams<T> params) {
  using Kernel = ManyRows<T>;
  using Feed = ManyRowsFeed<T, brief>;
  extern __shared__ __align__(1024) uint8_t memory[];
  // Computed once: the compiler would otherwise derive the address anew at every use, which takes longer than the use.
  uint32_t base = ptx::sharedAddress(memory);
  asm volatile("" : "+r"(base));
  auto& shared = *reinterpret_cast<typename Kernel::Shared*>(__cvta_shared_to_generic(base));
  constexpr int queryWarp = 3 * Kernel::groupWarps + 2;  ///< behind the two that copy pages
  QueryPlace queryPlace{};
  // Ahead of the wait, but not by the warps whose copies everything waits for.
  if (threadIdx.x < 3 * Kernel::groupThreads) {
    if (threadIdx.x < 32) {
      if (threadIdx.x == 0) Kernel::init(shared);
      __syncwarp();
      Kernel::announceBarriers();
    }
    if (threadIdx.x / Kernel::rowsPerCta == 1) {
      const int place = threadIdx.x % Kernel::rowsPerCta;
      shared.places[place] = RowPlaces::of(params, Kernel::rowBegin() + place);
    }
    if (threadIdx.x == 32) shared.queryPlace = QueryPlace::of(params, Kernel::rowBegin(), blockIdx.z);
    if (threadIdx.x == 64) {
      // In the order in which they are needed.
      if (params.hasQueryMap) ptx::prefetchTensorMap(&params.queries->map);
      ptx::prefetchTensorMap(&params.cache->tile);
      ptx::prefetchTensorMap(&params.cache->box);
    }
  } else if (threadIdx.x / 32 == queryWarp) {
    queryPlace = QueryPlace::of(params, Kernel::rowBegin(), blockIdx.z);
    Kernel::awaitBarriers();
  }
  ptx::awaitEarlierKernels();
  ScheduleRow row = params.schedule[blockIdx.x];
  typename Feed::Beginning beginning{};
  if (threadIdx.x >= 3 * Kernel::groupThreads) {
    // On its way while the warps go to their work.
    if (row.beginRequest <= row.endRequest) {
      if (threadIdx.x / 32 < queryWarp) beginning = Feed::begin(params, row);
      // Ahead of the first piece's length, which says whether it has pages.
      if (threadIdx.x / 32 == queryWarp) Kernel::loadFirstQueries(params, shared, queryPlace, row.beginRequest);
    }
    if (threadIdx.x == 3 * Kernel::groupThreads) shared.row = row;
  }
  __syncthreads();
  // All lanes agree, which the shuffle tells the compiler; without it the other warps would wait for the row before that.
  for (int32_t* field : {&row.beginRequest, &row.beginPage, &row.endRequest, &row.endPage, &row.beginSplit, &row.firstIsSplit, &row.lastIsSplit}) {
    *field = __shfl_sync(~0u, *field, 0);
  }
  if (row.beginRequest > row.endRequest) return;
  // The shuffle tells the compiler that all lanes agree.
  const int group = __shfl_sync(~0u, threadIdx.x / Kernel::groupThreads, 0);
  if (group < 2) {
    ptx::takeRegisters<Kernel::valueRegisters>();
    group == 0 ? ManyRowsValues<T>::template run<0>(params, shared, row) : ManyRowsValues<T>::template run<1>(params, shared, row);
    ManyRowsValues<T>::merge(params, shared, row);
  } else if (group == 2) {
    ptx::takeRegisters<Kernel::scoreRegisters>();
    ManyRowsScores<T>::run(params, shared, shared.row);
  } else {
    ptx::giveRegisters<Kernel::feedRegisters>();
    const int warp = threadIdx.x % Kernel::groupThreads / 32;
    if (warp < 2) {
      Feed::loadPages(warp, params, shared, beginning);
      ptx::allowNextKernel();
      if (warp == 1) Feed::announce(params, shared);
    }
  }
}

}  // namespace polymla
