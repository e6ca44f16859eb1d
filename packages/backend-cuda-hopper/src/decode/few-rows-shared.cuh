#pragma once
#include "../ptx/barrier.cuh"
#include "arrival.cuh"
#include "combine.cuh"
#include "page-ring.cuh"
#include "params.h"
#include "pieces.cuh"
#include "row-places.cuh"

namespace polymla {

/**
 * Dense decode for few query rows per KV head: N = 16 or 32 rows per CTA.
 *
 * The products are transposed, so that a page's 64 tokens or 64 value dims fill the 64 rows that an instruction always
 * has and the query rows are its narrow side: Sᵀ = K·Qᵀ, Oᵀ = Vᵀ·Pᵀ. One page then costs the tensor cores 1,360 cycles
 * at N = 16 and 1,640 at N = 32, where it takes about 3,900 to arrive.
 *
 * Warp 8 streams pages through the ring, warp 9 tells other CTAs when a split is written. Warpgroups 0 and 1 share each
 * page: group g multiplies half of the columns for the scores, then columns 256 g … as values. Between the two the
 * partial scores meet in shared memory, where each of the 8 warps takes the softmax of N / 8 rows, all tokens of a row
 * within a warp. This file has what the warps share; the other few-rows files have their parts.
 */
template <class T, int N>
struct FewRows {
  static constexpr int groupThreads = 128;
  static constexpr int consumerThreads = 2 * groupThreads;
  static constexpr int consumerWarps = consumerThreads / 32;
  static constexpr int threads = consumerThreads + 2 * 32;

  /** Two pages: as fast as more, and slots in multiples of a page, faster than 8 or 7 (measured, see NOTES.md). */
  using Ring = PageRing<3, 6>;
  using Merge = Combine<T, consumerThreads>;
  using Cursor = typename Ring::Cursor;

  static constexpr int queryTileBytes = N * 128;
  static constexpr int groupTiles = valueDim / tileColumns / 2;
  /** Of a row of scores: a multiple of 4 for 16-byte loads, 4 mod 32 so that the stores hit every bank once. */
  static constexpr int scorePitch = pageTokens + 4;

  struct Shared {
    union {
      alignas(1024) uint8_t ring[Ring::bytes];
      typename Merge::template Shared<N> merge;  ///< after the last page
    };
    alignas(1024) uint8_t q[pageTiles * queryTileBytes];
    alignas(1024) uint8_t p[N * pageTokens * 2];
    float scores[2][N][scorePitch];
    RowPlaces places[N];
    float rescale[N];
    float norm[N];
    typename Ring::Barriers barriers;
    /** A CTA's first and last piece are the ones that can be splits. */
    ptx::MBarrier splitWritten[2];
  };

  static __device__ __forceinline__ void syncConsumers() { ptx::syncThreads<1, consumerThreads>(); }

  static __device__ __forceinline__ Arrival arrivalOf(const DecodeParams<T>& params, const Piece& piece) {
    const int64_t index = (static_cast<int64_t>(piece.request) * params.headsKv + blockIdx.z) * gridDim.y + blockIdx.y;
    return {params.arrivals + index, static_cast<uint32_t>(piece.splits)};
  }
};

}  // namespace polymla
