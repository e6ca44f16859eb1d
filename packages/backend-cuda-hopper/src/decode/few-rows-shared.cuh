#pragma once
#include <type_traits>

#include "../ptx/barrier.cuh"
#include "arrival.cuh"
#include "few-rows-merge.cuh"
#include "page-ring.cuh"
#include "params.h"
#include "query-feed.cuh"
#include "pieces.cuh"
#include "row-places.cuh"

namespace polymla {

/** What every form of the kernel has; 576 or 512 dims of queries and keys. */
template <int HeadDim>
struct FewRowsSizes {
  static constexpr int tiles = HeadDim / tileColumns;
  static constexpr int groupThreads = 128;
  static constexpr int consumerThreads = 2 * groupThreads;
  static constexpr int consumerWarps = consumerThreads / 32;
  static constexpr int ctaThreads = consumerThreads + 32;

  /** Of two pages: as fast as more (measured, see NOTES.md). */
  using Ring = PageRing<tiles>;
  using Cursor = typename Ring::Cursor;

  static __device__ __forceinline__ void syncConsumers() { ptx::syncThreads<1, consumerThreads>(); }

  /**
   * The last consumer warp initialises the barriers by `init`, one thread's work, and tells the producer, which awaits that; the other
   * consumers know it by their next syncConsumers.
   */
  template <class Init>
  static __device__ __forceinline__ void initBarriers(Init&& init) {
    if (threadIdx.x / 32 != consumerWarps - 1) return;
    if (threadIdx.x % 32 == 0) {
      init();
      ptx::fenceBarrierInit();
    }
    __syncwarp();
    ptx::arriveThreads<2, 64>();
  }
  static __device__ __forceinline__ void awaitBarriers() { ptx::syncThreads<2, 64>(); }

  /** What later steps of a small problem wait for, when nothing is in the caches: their address translations. By a warp. */
  template <class T>
  static __device__ __forceinline__ void prefetchTranslations(const DecodeParams<T>& params) {
    const int lane = threadIdx.x % 32;
    const void* first = params.out;
    if (lane == 1) first = params.partialOut;
    if (lane == 2) first = params.partialLse;
    if (lane == 3) first = params.arrivals;
    if (lane == 4) first = params.lse;
    if (lane < 5) ptx::prefetchLine(first);
  }

  /**
   * Merges the splits of a CTA, `last` its last piece. Only at its end: every CTA first finishes its own work, so that none
   * waits for one that waits. The last piece and the first one can be splits.
   */
  template <class T, class Merge, class Shared>
  static __device__ __forceinline__ void mergeSplits(const DecodeParams<T>& params, const ScheduleRow& row, const Piece& last,
                                                     const Merge& merge, Shared& shared) {
    bool isFirst = row.beginRequest == row.endRequest;
#pragma unroll 1
    for (Piece piece = last;; piece = pieceOf(params, row, row.beginRequest)) {
      if (piece.isSplit) merge.merge(piece, shared.parts, shared.weights, syncConsumers);
      if (isFirst) break;
      isFirst = true;
    }
  }
};

/** Pages and queries in shared memory, and after the last page the merge in their place. */
template <class Ring, class Merge, int QueryBytes>
struct FewRowsPages {
  union {
    alignas(1024) uint8_t ring[Ring::bytes];
    typename Merge::Parts parts;
  };
  union {
    alignas(1024) uint8_t q[QueryBytes];
    typename Merge::Weights weights;
  };
};

/**
 * Dense decode for few query rows per KV head: N = 16, 32 or 64 rows per CTA.
 *
 * The products are transposed, so that a page's 64 tokens or 64 value dims fill the 64 rows that an instruction always
 * has and the query rows are its narrow side: Sᵀ = K·Qᵀ, Oᵀ = Vᵀ·Pᵀ. One page then costs the tensor cores 1,360 cycles
 * at N = 16 and 1,640 at N = 32, where it takes about 3,900 to arrive.
 *
 * Warp 8 streams pages through the ring. Warpgroups 0 and 1 share each page: group g multiplies half of the columns for
 * the scores, then columns 256 g … as values. Between the two the partial scores meet in shared memory, where each of
 * the 8 warps takes the softmax of N / 8 rows, all tokens of a row within a warp. (At N = 64 otherwise: few-rows-halves.)
 * This file has what the warps share; the other few-rows files have their parts.
 *
 * Before the first page and after the last one the GPU waits for what single instructions take: what runs there is kept
 * short and has no integer divisions on its way.
 */
template <class T, int N_, int HeadDim>
struct FewRows : FewRowsSizes<HeadDim> {
  static constexpr int N = N_;
  using Sizes = FewRowsSizes<HeadDim>;
  using typename Sizes::Ring;
  using Merge = FewRowsMerge<T, N>;

  static constexpr int queryTileBytes = N * 128;
  static constexpr int groupTiles = valueDim / tileColumns / 2;
  /** Of a row of scores: a multiple of 4 for 16-byte loads, 4 mod 32 so that the stores hit every bank once. */
  static constexpr int scorePitch = pageTokens + 4;

  struct Shared : FewRowsPages<Ring, Merge, Sizes::tiles * queryTileBytes> {
    alignas(1024) uint8_t p[N * pageTokens * 2];
    float scores[2][N][scorePitch];
    float rescale[N];
    float norm[N];
    RowPlaces places[N];
    typename Ring::Barriers barriers;
    ptx::MBarrier queryFull;  ///< a piece's queries, where they come in boxes
  };

  /** By one thread. */
  static __device__ __forceinline__ void init(Shared& shared) {
    Ring::init(shared.barriers, Sizes::consumerWarps);
    ptx::init(shared.queryFull, 1);
  }
};

}  // namespace polymla
