#pragma once
#include "../ptx/barrier.cuh"
#include "../ptx/mbarrier.cuh"
#include "arrival.cuh"
#include "combine.cuh"
#include "many-rows.h"
#include "params.h"
#include "pieces.cuh"
#include "query-feed.cuh"
#include "row-places.cuh"

namespace polymla {

/** Place in a stream that passes through `Slots` slots. */
template <int Slots>
struct RingCursor {
  int slot = 0;
  uint32_t parity = 0;

  /** `count` places further on, at most Slots. */
  __device__ __forceinline__ RingCursor ahead(int count) const {
    const int next = slot + count;
    return next < Slots ? RingCursor{next, parity} : RingCursor{next - Slots, parity ^ 1};
  }
};

/** The same in one register, for warps that have few: twice the slot, plus the parity. */
template <int Slots>
struct PackedCursor {
  uint32_t state = 0;

  __device__ __forceinline__ RingCursor<Slots> ahead(uint32_t count) const {
    PackedCursor next = *this;
    next.advance(count);
    return {static_cast<int>(next.state / 2), next.state % 2};
  }
  __device__ __forceinline__ void advance(uint32_t count) {
    const uint32_t next = state + 2 * count;
    state = next < 2 * Slots ? next : (next - 2 * Slots) ^ 1;
  }
};

/**
 * Dense decode for many query rows per KV head: 64 rows per CTA.
 *
 * Warpgroup 2 multiplies queries with pages and takes the softmax; warpgroups 0 and 1 hold O, which is half of the
 * registers of an SM, 256 columns each, and multiply P with the values. While warpgroup 2 takes a softmax, the tensor
 * cores work for the others. Warpgroup 3 copies.
 *
 * What a page waits for is the time that a copy takes, so the shared memory is a ring in which pages, and the queries of
 * the next request ahead of them, are on their way as early as possible: boxes of two 64-column tiles through `values`,
 * the columns that are no values through `scoreTiles`, whose place P then takes. Two thirds of the queries are kept in
 * registers to make room for it.
 *
 * Both products at once would take as long as one after the other, and leave nothing to do during the next softmax: a
 * page's values are multiplied when the next page's scores have been. But where those wait for memory, half of the values
 * goes first, which frees some.
 */
template <class T>
struct ManyRows {
  static constexpr int rowsPerCta = 64;
  static constexpr int groupThreads = 128;
  static constexpr int groupWarps = groupThreads / 32;
  /** Of the two warpgroups with values, which also merge. */
  static constexpr int valueThreads = 2 * groupThreads;
  static constexpr int threads = 4 * groupThreads;

  static constexpr int scoreTile = valueDim / tileColumns;  ///< the tile without values

  static constexpr int boxTiles = 2;
  static constexpr int boxBytes = boxTiles * tileBytes;
  static constexpr int valueBoxes = scoreTile / boxTiles;  ///< of a page
  static constexpr int groupBoxes = valueBoxes / 2;
  static constexpr int queryBoxes = valueBoxes + 1;  ///< the last one holds one tile
  static constexpr int valueSlots = 10;
  static constexpr int scoreSlots = 3;
  /** Tiles of queries that warpgroup 2 keeps in registers; the others lie in shared memory. */
  static constexpr int registerTiles = 6;
  static constexpr int memoryTiles = pageTiles - registerTiles;
  static constexpr int valueRegisters = 160;
  static constexpr int scoreRegisters = 160;
  static constexpr int feedRegisters = 32;
  /** No warpgroup gets further ahead of another: a page's boxes are needed for later ones. */
  static constexpr int states = 4;

  using ValueCursor = RingCursor<valueSlots>;
  using ScoreCursor = RingCursor<scoreSlots>;
  using Merge = Combine<T, rowsPerCta>;
  static_assert(valueThreads == 32 * Merge::warps);

  /** What warpgroup 2 says of a page to the others. */
  struct PageState {
    ptx::MBarrier ready;
    /** The scores of the page after this one have been multiplied, or there is none in the piece. */
    ptx::MBarrier turn;
    uint32_t shrinks[groupWarps];  ///< whether any of a warp's rows has a factor other than 1
    float factor[rowsPerCta];      ///< of O before this page
  };

  struct Shared {
    union {
      struct {
        alignas(1024) uint8_t values[valueSlots][boxBytes];
        alignas(1024) uint8_t scoreTiles[scoreSlots][tileBytes];
        alignas(1024) uint8_t q[memoryTiles][tileBytes];
      };
      typename Merge::Shared merge;  ///< after the last page
    };
    ptx::MBarrier valueFull[valueSlots];
    ptx::MBarrier valueEmpty[valueSlots];
    ptx::MBarrier scoreFull[scoreSlots];
    ptx::MBarrier scoreEmpty[scoreSlots];
    /** A bit per 16 tokens: clear where the table entry lies outside the cache. */
    uint32_t present[scoreSlots];
    PageState state[states];
    /** Of a piece, at its parity: 1 / sums of the rows. */
    float norm[2][rowsPerCta];
    ptx::MBarrier normFull[2];
    ptx::MBarrier normEmpty[2];
    RowPlaces places[rowsPerCta];
    // Here for warps that have no registers for them.
    ScheduleRow row;
    QueryPlace queryPlace;
    /** A CTA's first and last piece are the ones that can be splits. */
    ptx::MBarrier splitWritten[2];
  };

  /** By one thread: at constant addresses one after the other, that is faster than by several. */
  static __device__ __forceinline__ void init(Shared& shared) {
    constexpr int groupArrivals = groupWarps * ptx::arrivalsPerWarp;
    for (auto& barrier : shared.valueFull) ptx::init(barrier, 1);
    for (auto& barrier : shared.valueEmpty) ptx::init(barrier, groupArrivals);
    for (auto& barrier : shared.scoreFull) ptx::init(barrier, 1);
    for (auto& barrier : shared.scoreEmpty) ptx::init(barrier, 2 * groupArrivals);
    for (auto& state : shared.state) {
      ptx::init(state.ready, groupArrivals);
      ptx::init(state.turn, groupArrivals);
    }
    for (auto& barrier : shared.normFull) ptx::init(barrier, groupArrivals);
    for (auto& barrier : shared.normEmpty) ptx::init(barrier, 2 * groupArrivals);
    for (auto& barrier : shared.splitWritten) ptx::init(barrier, valueThreads + groupThreads);
    ptx::fenceBarrierInit();
  }

  /** The warp that has initialised the barriers tells the one that asks for the first queries. */
  static __device__ __forceinline__ void announceBarriers() { ptx::arriveThreads<6, 64>(); }
  static __device__ __forceinline__ void awaitBarriers() { ptx::syncThreads<6, 64>(); }

  static __device__ __forceinline__ int rowBegin() { return blockIdx.y * rowsPerCta; }
  static __device__ __forceinline__ void syncValueGroups() { ptx::syncThreads<1, valueThreads>(); }

  /** Starts copying a box of queries into its place in the stream, once that is free; the last box's second tile becomes zeros. */
  static __device__ __forceinline__ void loadQueries(const DecodeParams<T>& params, Shared& shared, const ValueCursor& at, int request,
                                                     int box) {
    ptx::wait(shared.valueEmpty[at.slot], at.parity ^ 1);
    ptx::arriveExpect(shared.valueFull[at.slot], boxBytes);
    loadQueryBox(params, shared.values[at.slot], shared.valueFull[at.slot], shared.queryPlace, request, box * boxTiles);
  }

  /** The same for the first request, whose places are free, by a warp: a box a lane. */
  static __device__ __forceinline__ void loadFirstQueries(const DecodeParams<T>& params, Shared& shared, const QueryPlace& place, int request) {
    const int box = threadIdx.x % 32;
    if (params.hasQueryMap && box < queryBoxes) {
      ptx::arriveExpect(shared.valueFull[box], boxBytes);
      loadQueryBox(params, shared.values[box], shared.valueFull[box], place, request, box * boxTiles);
    }
  }

  /** Whether a piece's queries are in the stream: with a map always those of the first one, asked for before its length is known. */
  static __device__ __forceinline__ bool hasQueries(const DecodeParams<T>& params, const Shared& shared, int request, bool hasPages) {
    return hasPages || (params.hasQueryMap && request == shared.row.beginRequest);
  }

  /** The parities of a place that is used once per `Count` things. */
  template <int Count>
  static __device__ __forceinline__ uint32_t parityOf(uint32_t index) {
    return index / Count % 2;
  }

  static __device__ __forceinline__ Arrival arrivalOf(const DecodeParams<T>& params, const Piece& piece) {
    const int64_t index =
        (static_cast<int64_t>(piece.request) * params.headsKv + blockIdx.z) * gridDim.y + blockIdx.y;
    return {params.arrivals + index, static_cast<uint32_t>(piece.splits)};
  }
};

}  // namespace polymla
