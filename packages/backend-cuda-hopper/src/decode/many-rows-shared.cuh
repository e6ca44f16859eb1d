#pragma once
#include "../ptx/barrier.cuh"
#include "../ptx/mbarrier.cuh"
#include "arrival.cuh"
#include "combine.cuh"
#include "many-rows.h"
#include "params.h"
#include "pieces.cuh"
#include "row-places.cuh"

namespace polymla {

/**
 * Dense decode for many query rows per KV head: 64 rows per CTA.
 *
 * O of 64 rows takes half of the registers of an SM, so two warpgroups hold it, 256 columns each, and take
 * turns with the scores: warpgroup 0 has the even pages of a piece, warpgroup 1 the odd ones. Each multiplies
 * the queries with its page, takes the softmax, and leaves P in shared memory; then both multiply it with
 * their half of the page's values. While one takes a softmax, the tensor cores work for the other (the seesaw
 * schedule of FlashMLA 9241ae3).
 *
 * Queries and two pages fill the shared memory, and what a page waits for is the time that a copy takes. So
 * every two tiles of values are given back as soon as they have been used; P lies in the tile of the page
 * that is no part of the values. A third warpgroup copies pages and queries and tells other CTAs when a split
 * is written.
 */
template <class T>
struct ManyRows {
  static constexpr int rowsPerCta = 64;
  static constexpr int groupThreads = 128;
  static constexpr int groupWarps = groupThreads / 32;
  static constexpr int consumerThreads = 2 * groupThreads;
  static constexpr int threads = consumerThreads + groupThreads;
  static constexpr int consumerRegisters = 224;
  static constexpr int feedRegisters = 56;
  /** Threads that copy queries. */
  static constexpr int queryThreads = 32;
  static constexpr int groupColumns = valueDim / 2;
  static constexpr int groupTiles = groupColumns / tileColumns;
  static constexpr int scoreTile = pageTiles - 1;  ///< the last 64 columns, no values: P lies here

  using Merge = Combine<T, consumerThreads>;

  static constexpr int slots = 2;
  /** A page arrives, and its values are given back, in boxes of so many tiles; the tile without values is the
   * last. */
  static constexpr int boxTiles = 2;
  static constexpr int valueBoxes = valueDim / tileColumns / boxTiles;
  static constexpr int groupBoxes = valueBoxes / 2;

  struct Slot {
    ptx::MBarrier full[valueBoxes + 1];
    /** Of the boxes of values. P has been read when all are. */
    ptx::MBarrier empty[valueBoxes];
    /** P, scale and max are written. */
    ptx::MBarrier ready;
    /** A bit per 16 tokens: clear where the table entry lies outside the cache. */
    uint32_t present;
    float scale[rowsPerCta];  ///< by how much O shrinks before this page
    float max[rowsPerCta];    ///< base 2
  };

  struct Shared {
    union {
      struct {
        alignas(1024) uint8_t pages[slots][pageTiles * tileBytes];
        alignas(1024) uint8_t q[pageTiles * tileBytes];
      };
      typename Merge::template Shared<rowsPerCta> merge;  ///< after the last page
    };
    Slot slot[slots];
    float sums[2][2][rowsPerCta];  ///< [parity of the piece][warpgroup]
    RowPlaces places[rowsPerCta];
    ptx::MBarrier queryFull;
    ptx::MBarrier queryEmpty;
    /** A CTA's first and last piece are the ones that can be splits. */
    ptx::MBarrier splitWritten[2];
  };

  /** Place of a page in the CTA's stream of pages. */
  struct Place {
    uint32_t slot;
    uint32_t parity;
    explicit __device__ __forceinline__ Place(uint32_t page) : slot(page % slots), parity(page / slots % 2) {}
  };

  static __device__ void init(Shared& shared) {
    for (Slot& slot : shared.slot) {
      for (auto& barrier : slot.full) ptx::init(barrier, 1);
      for (auto& barrier : slot.empty) ptx::init(barrier, groupWarps);
      ptx::init(slot.ready, groupWarps);
    }
    ptx::init(shared.queryFull, queryThreads);
    ptx::init(shared.queryEmpty, 2 * groupWarps);
    for (auto& barrier : shared.splitWritten) ptx::init(barrier, consumerThreads);
    ptx::fenceBarrierInit();
  }

  static __device__ __forceinline__ int rowBegin() { return blockIdx.y * rowsPerCta; }
  static __device__ __forceinline__ void syncConsumers() { ptx::syncThreads<1, consumerThreads>(); }

  static __device__ __forceinline__ Arrival arrivalOf(const DecodeParams<T>& params, const Piece& piece) {
    const int64_t index =
        (static_cast<int64_t>(piece.request) * params.headsKv + blockIdx.z) * gridDim.y + blockIdx.y;
    return {params.arrivals + index, static_cast<uint32_t>(piece.splits)};
  }
};

}  // namespace polymla
