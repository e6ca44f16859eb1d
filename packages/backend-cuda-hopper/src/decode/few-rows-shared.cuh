#pragma once
#include "../ptx/barrier.cuh"
#include "arrival.cuh"
#include "few-rows-merge.cuh"
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
 * Warp 8 streams pages through the ring. Warpgroups 0 and 1 share each page: group g multiplies half of the columns for
 * the scores, then columns 256 g … as values. Between the two the partial scores meet in shared memory, where each of
 * the 8 warps takes the softmax of N / 8 rows, all tokens of a row within a warp. This file has what the warps share;
 * the other few-rows files have their parts.
 *
 * Before the first page and after the last one the GPU waits for what single instructions take: what runs there is kept
 * short and has no integer divisions on its way.
 */
template <class T, int N>
struct FewRows {
  static constexpr int groupThreads = 128;
  static constexpr int consumerThreads = 2 * groupThreads;
  static constexpr int consumerWarps = consumerThreads / 32;
  static constexpr int threads = consumerThreads + 32;

  /** Two pages: as fast as more, and slots in multiples of a page, faster than 8 or 7 (measured, see NOTES.md). */
  using Ring = PageRing<3, 6>;
  using Merge = FewRowsMerge<T, N>;
  using Cursor = typename Ring::Cursor;

  static constexpr int queryTileBytes = N * 128;
  static constexpr int groupTiles = valueDim / tileColumns / 2;
  /** Of a row of scores: a multiple of 4 for 16-byte loads, 4 mod 32 so that the stores hit every bank once. */
  static constexpr int scorePitch = pageTokens + 4;

  struct Shared {
    union {
      alignas(1024) uint8_t ring[Ring::bytes];
      typename Merge::Parts parts;  ///< after the last page
    };
    union {
      alignas(1024) uint8_t q[pageTiles * queryTileBytes];
      typename Merge::Weights weights;  ///< after the last page
    };
    alignas(1024) uint8_t p[N * pageTokens * 2];
    float scores[2][N][scorePitch];
    float rescale[N];
    float norm[N];
    RowPlaces places[N];
    typename Ring::Barriers barriers;
  };

  static __device__ __forceinline__ void syncConsumers() { ptx::syncThreads<1, consumerThreads>(); }

  /** The producer tells the consumers that the barriers are initialised. */
  static constexpr int initialised = 2;
};

}  // namespace polymla
