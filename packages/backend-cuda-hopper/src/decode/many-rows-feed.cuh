#pragma once
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "many-rows-shared.cuh"
#include "page-runs.cuh"

namespace polymla {

/**
 * Warpgroup 3 of the many-rows kernel: the stream of pages, the announcements.
 *
 * @tparam brief as of manyRowsDecode
 */
template <class T, bool brief>
struct ManyRowsFeed : ManyRows<T> {
  using Base = ManyRows<T>;
  using Base::arrivalOf;
  using Base::boxBytes;
  using Base::boxTiles;
  using Base::queryBoxes;
  using Base::scoreTile;
  using Base::valueBoxes;
  using typename Base::ScoreCursor;
  using typename Base::Shared;
  using typename Base::ValueCursor;

  /** A table entry's share of 64 tokens. */
  struct Part {
    int id;
    int token;         ///< in its page
    int quarter;       ///< of the 64 tokens that the part begins at
    bool whole;        ///< is all of them
    uint32_t present;  ///< Shared::present of the 64 tokens
  };

  /** Requests a tile, or a box of several, of a page. */
  static __device__ __forceinline__ void request(const CUtensorMap* map, uint8_t* target, ptx::MBarrier& full, int tile,
                                                 const Part& part) {
    if constexpr (brief) {
      ptx::loadBox(target, map, full, ptx::cachePolicy(ptx::Keep::least), 0, part.token, tile, blockIdx.z, part.id);
    } else {
      ptx::loadBox(target, map, full, 0, part.token, tile, blockIdx.z, part.id);
    }
  }

  static __device__ __forceinline__ void loadValues(const CacheMaps& maps, Shared& shared, const ValueCursor& at,
                                                    int box, const Part& part) {
    waitEmpty(shared, at);
    ptx::MBarrier& full = shared.valueFull[at.slot];
    uint8_t* const target = shared.values[at.slot] + part.quarter * (tileBytes / 4);
    if (part.quarter == 0) ptx::arriveExpect(full, boxBytes);
    request(part.whole ? &maps.box : &maps.tile, target, full, box * boxTiles, part);
    if (!part.whole) request(&maps.tile, target + tileBytes, full, box * boxTiles + 1, part);
  }

  static __device__ __forceinline__ void loadScoreTile(const CacheMaps& maps, Shared& shared, const ScoreCursor& at,
                                                       const Part& part) {
    ptx::wait(shared.scoreEmpty[at.slot], at.parity ^ 1);
    ptx::MBarrier& full = shared.scoreFull[at.slot];
    if (part.quarter == 0) {
      shared.present[at.slot] = part.present;
      ptx::arriveExpect(full, tileBytes);
    }
    request(&maps.tile, shared.scoreTiles[at.slot] + part.quarter * (tileBytes / 4), full, scoreTile, part);
  }

  /** Waits until a box of the stream may be written. */
  static __device__ __forceinline__ void waitEmpty(Shared& shared, const ValueCursor& at) {
    ptx::wait(shared.valueEmpty[at.slot], at.parity ^ 1);
  }

  /** What the first page waits for: the first request's length as it is in memory, and a lane's entry of its table. */
  struct Beginning {
    int length;
    int entry;
  };

  /** Of the number of pages that hold 64 tokens: 2, 1 or 0. */
  static __device__ __forceinline__ int quartersLog2Of(const DecodeParams<T>& params) {
    return (params.pageSize < 64) + (params.pageSize < 32);
  }

  /** A lane's table entry, of those from block `first` of 64 tokens on; the length says later which ones count. */
  static __device__ __forceinline__ int entryOf(const DecodeParams<T>& params, int request, int first) {
    int entry = (first << quartersLog2Of(params)) + threadIdx.x % 32;
    if (__builtin_expect(params.pageSize > pageTokens, 0)) entry /= params.pageSize / pageTokens;
    const int32_t* table = params.blockTable + static_cast<int64_t>(request) * params.blockTableStride;
    return entry < params.blockTableStride ? table[entry] : -1;
  }

  static __device__ __forceinline__ Beginning begin(const DecodeParams<T>& params, const ScheduleRow& row) {
    return {params.lengths[row.beginRequest], entryOf(params, row.beginRequest, row.beginPage)};
  }

  /** Whether loadFirst loads a request's page `page`: the first of all, where that is one of the cache's and its place is known. */
  static __device__ __forceinline__ bool isFirst(const DecodeParams<T>& params, const Shared& shared, int request, int page) {
    return params.hasQueryMap && params.pageSize == pageTokens && request == shared.row.beginRequest && page == shared.row.beginPage;
  }

  /**
   * That page, if the first request has any, behind its queries. Apart from the loop, whose preparations would delay it, and all that
   * the table entry is not needed for comes after that.
   */
  static __device__ __forceinline__ void loadFirst(int warp, const DecodeParams<T>& params, Shared& shared, const Beginning& beginning) {
    static_assert(queryBoxes + valueBoxes <= Base::valueSlots);
    const ScheduleRow row = shared.row;
    if (threadIdx.x % 32 != 0 || !isFirst(params, shared, row.beginRequest, row.beginPage)) return;
    if (row.beginPage >= (row.beginRequest == row.endRequest ? row.endPage : params.pagesOf(params.lengthFrom(beginning.length)))) return;
    const bool exists = static_cast<uint32_t>(beginning.entry) < static_cast<uint32_t>(params.pages);
    const Part part{exists ? beginning.entry : params.pages, 0, 0, true, exists ? 15u : 0u};
    if (warp == 1) {
      request(&params.cache->tile, shared.scoreTiles[0], shared.scoreFull[0], scoreTile, part);
      shared.present[0] = part.present;
      ptx::arriveExpect(shared.scoreFull[0], tileBytes);
    }
#pragma unroll 1
    for (int box = warp; box < valueBoxes; box += 2) {
      ptx::MBarrier& full = shared.valueFull[queryBoxes + box];
      request(&params.cache->box, shared.values[queryBoxes + box], full, box * boxTiles, part);
      ptx::arriveExpect(full, boxBytes);
    }
  }

  /** The pages, by two warps: a request takes its thread as long as a tenth of a page takes. */
  static __device__ void loadPages(int warp, const DecodeParams<T>& params, Shared& shared, const Beginning& beginning) {
    loadFirst(warp, params, shared, beginning);
    __syncwarp();
    const CacheMaps& maps = *params.cache;
    int lane = threadIdx.x % 32;
    const int quartersLog2 = quartersLog2Of(params);
    const int perLoad = 32 >> quartersLog2;
    int upcomingOf = shared.row.beginRequest;
    int upcoming = beginning.entry;
    PackedCursor<Base::valueSlots> value;
    PackedCursor<Base::scoreSlots> score;
    if (params.hasQueryMap) value.advance(queryBoxes);
    forEachPageRun(params, shared.row, beginning.length, [&](const PageRun& piece) {
      if (!params.hasQueryMap || piece.request != shared.row.beginRequest) {
        // A box a lane.
        if (lane < queryBoxes && lane % 2 == warp && params.hasQueryMap) {
          Base::loadQueries(params, shared, value.ahead(lane), piece.request, lane);
        }
        __syncwarp();
        value.advance(queryBoxes);
      }
      if (upcomingOf != piece.request) upcoming = entryOf(params, piece.request, piece.beginPage);
      for (int first = piece.beginPage; first < piece.endPage; first += perLoad) {
        // Requested ahead of as many pages as a warp has entries of: a load takes as long as both pages.
        const int mine = upcoming;
        const bool goesOn = first + perLoad < piece.endPage;
        // The next piece's queries wait for their map: by then the pages have driven it out of all caches.
        if (warp == 0 && lane == 0 && params.hasQueryMap) ptx::prefetchTensorMap(&params.queries->map);
        upcomingOf = goesOn ? piece.request : min(piece.request + 1, shared.row.endRequest);
        upcoming = entryOf(params, upcomingOf, goesOn ? first + perLoad : 0);
        int index = 0;
        if (isFirst(params, shared, piece.request, first)) {
          value.advance(valueBoxes);
          score.advance(1);
          index = 1;
        }
        for (; index < perLoad && first + index < piece.endPage; index++) {
          lane = threadIdx.x % 32;
          asm volatile("" : "+r"(lane));
          const int part = (index << quartersLog2) + (lane << quartersLog2) / 4;
          const int id = __shfl_sync(~0u, mine, part);
          const bool inside = quartersLog2 == 0 || ((first << quartersLog2) + part) * params.pageSize < piece.length;
          const bool exists = inside && static_cast<uint32_t>(id) < static_cast<uint32_t>(params.pages);
          const uint32_t present = __ballot_sync(~0u, exists) & 15;
          // A parity tells no more than two phases apart: neither warp gets further ahead.
          ptx::syncThreads<5, 64>();
          if (lane < 4 && (lane << quartersLog2) % 4 == 0) {
            int token = 0;
            if (__builtin_expect(params.pageSize > pageTokens, 0)) token = (first + index) % (params.pageSize / pageTokens) * pageTokens;
            const Part part{exists ? id : params.pages, token, lane, quartersLog2 == 0, present};
            // First: its place has been free for longest.
            if (warp == 1) loadScoreTile(maps, shared, score.ahead(0), part);
#pragma unroll 1
            for (int box = warp; box < valueBoxes; box += 2) {
              loadValues(maps, shared, value.ahead(box), box, part);
            }
          }
          __syncwarp();
          value.advance(valueBoxes);
          score.advance(1);
        }
      }
    });
  }

  /** Publishes each split once it is written: waiting for that would keep the others from their next piece. */
  static __device__ void announce(const DecodeParams<T>& params, Shared& shared) {
    if (threadIdx.x % 32 != 0) return;
    // Read again: the pages are copied with all registers that there are.
    const ScheduleRow row = params.schedule[blockIdx.x];
    int count = 0;
    forEachSplit(params, row, [&](const Piece& piece) {
      ptx::wait(shared.splitWritten[count++], 0);
      arrivalOf(params, piece).arrive();
    });
  }
};

}  // namespace polymla
