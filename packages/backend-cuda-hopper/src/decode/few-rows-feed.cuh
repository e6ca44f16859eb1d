#pragma once
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** The single warps of the few-rows kernel: prefetching, the page stream, the announcements. */
template <class T, int N>
struct FewRowsFeed : FewRows<T, N> {
  using Base = FewRows<T, N>;
  using typename Base::Cursor;
  using typename Base::Ring;
  using typename Base::Shared;
  using Base::arrivalOf;
  using Base::consumerWarps;

  /** Rows into L2, by a warp. */
  static __device__ __forceinline__ void prefetchQuery(const DecodeParams<T>& params, const RowPlaces& place,
                                                       int request) {
    if (threadIdx.x % 32 >= N) return;
    const T* row = params.q + (params.firstRow(request, blockIdx.z) + place.out) * queryDim;
    ptx::prefetchL2(row, queryDim * sizeof(T));
  }

  /**
   * What the first pages of a small problem wait for, one after the other, when nothing of it is in the caches: the
   * requested lines, where they can be guessed, and the address translations in any case.
   */
  static __device__ __forceinline__ void prefetchFirst(const CUtensorMap& map, const DecodeParams<T>& params) {
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int guess = static_cast<int>(static_cast<int64_t>(blockIdx.x) * params.batch / gridDim.x);
    if (warp == consumerWarps) {
      if (lane == 0) ptx::prefetchTensorMap(&map);
      const int row = min(static_cast<int>(blockIdx.y) * N + lane, params.rows() - 1);
      prefetchQuery(params, RowPlaces::of(params, row), guess);
    } else if (warp == consumerWarps + 1) {
      const void* const first[] = {params.lengths + guess,
                                   params.numSplits + guess,
                                   params.blockTable + static_cast<int64_t>(guess) * params.blockTableStride,
                                   params.arrivals,
                                   params.partialLse,
                                   params.partialOut,
                                   params.lse,
                                   params.out};
      const void* mine = first[0];
#pragma unroll
      for (int index = 1; index < 8; index++) mine = lane == index ? first[index] : mine;
      if (lane < 8) ptx::prefetchLine(mine);
    }
  }

  static __device__ void produce(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared,
                                 const ScheduleRow& row) {
    const int lane = threadIdx.x % 32;
    const int kvHead = blockIdx.z;
    Cursor page;
    const RowPlaces place = RowPlaces::of(params, min(static_cast<int>(blockIdx.y) * N + lane, params.rows() - 1));
    forEachPiece(params, row, [&](const Piece& piece) {
      // Behind the pages of this piece the next queries would take as long as the whole ring does.
      if (piece.request < row.endRequest) prefetchQuery(params, place, piece.request + 1);
      const int32_t* table = params.blockTable + static_cast<int64_t>(piece.request) * params.blockTableStride;
      if (piece.request < row.endRequest && lane == 0) ptx::prefetchLine(table + params.blockTableStride);
      const auto idOf = [&](int index) { return index < piece.endPage ? table[index] : -1; };
      // Requested 32 pages ahead: a load takes as long as everything in the ring.
      int upcoming = idOf(piece.beginPage + lane);
      for (int base = piece.beginPage; base < piece.endPage; base += 32) {
        const int mine = upcoming;
        upcoming = idOf(base + 32 + lane);
        const int count = min(32, piece.endPage - base);
        for (int index = 0; index < count; index++) {
          const int id = __shfl_sync(~0u, mine, index);
          if (lane == 0) Ring::load(shared.ring, shared.barriers, page, map, id, kvHead, params.pages);
          page.nextPage();
        }
      }
    });
  }

  /** Publishes each split once it is written: waiting for that would keep the consumers from their next piece. */
  static __device__ void announce(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    if (threadIdx.x % 32 != 0) return;
    int count = 0;
    forEachSplit(params, row, [&](const Piece& piece) {
      ptx::wait(shared.splitWritten[count++], 0);
      arrivalOf(params, piece).arrive();
    });
  }
};

}  // namespace polymla
