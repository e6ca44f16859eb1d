#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "many-rows-shared.cuh"

namespace polymla {

/** The third warpgroup of the many-rows kernel: the page stream, the queries, the announcements. */
template <class T>
struct ManyRowsFeed : ManyRows<T> {
  using Base = ManyRows<T>;
  using Base::arrivalOf;
  using Base::boxTiles;
  using Base::groupBoxes;
  using Base::queryThreads;
  using Base::rowBegin;
  using Base::rowsPerCta;
  using Base::scoreTile;
  using Base::valueBoxes;
  using typename Base::Place;
  using typename Base::Shared;
  using typename Base::Slot;

  /** A table entry's share of 64 tokens. */
  struct Part {
    int id;
    int token;         ///< in its page
    uint32_t present;  ///< Slot::present of the 64 tokens
  };

  /**
   * Requests one warpgroup's share of a page, each box once the group has given back what lay there.
   *
   * @param withScores and the tile without values
   * @param quarter of the page that the part begins at
   */
  static __device__ __forceinline__ void loadHalf(const ManyRowsMaps& maps, Shared& shared, uint32_t page,
                                                  int half, bool withScores, int quarter, bool whole,
                                                  const Part& part) {
    const Place place(page);
    Slot& slot = shared.slot[place.slot];
    uint8_t* const target = shared.pages[place.slot] + quarter * (tileBytes / 4);
#pragma unroll
    for (int index = 0; index < groupBoxes; index++) {
      const int box = half * groupBoxes + index;
      const int tile = box * boxTiles;
      ptx::wait(slot.empty[box], place.parity ^ 1);
      if (quarter == 0) ptx::arriveExpect(slot.full[box], boxTiles * tileBytes);
      ptx::loadBox(target + tile * tileBytes, whole ? &maps.box : &maps.tile, slot.full[box], 0, part.token,
                   tile, blockIdx.z, part.id);
      if (!whole) {
        ptx::loadBox(target + (tile + 1) * tileBytes, &maps.tile, slot.full[box], 0, part.token, tile + 1,
                     blockIdx.z, part.id);
      }
    }
    if (!withScores) return;
#pragma unroll
    for (int box = 0; box < valueBoxes; box++) ptx::wait(slot.empty[box], place.parity ^ 1);
    ptx::MBarrier& full = slot.full[valueBoxes];
    if (quarter == 0) {
      slot.present = part.present;
      ptx::arriveExpect(full, tileBytes);
    }
    ptx::loadBox(target + scoreTile * tileBytes, &maps.tile, full, 0, part.token, scoreTile, blockIdx.z,
                 part.id);
  }

  /** One warpgroup's share of all pages, by a warp. */
  static __device__ void produce(const ManyRowsMaps& maps, int half, const DecodeParams<T>& params,
                                 Shared& shared, const ScheduleRow& row) {
    const int lane = threadIdx.x % 32;
    const int quarters = max(1, pageTokens / params.pageSize);
    const int shareOfPage = max(1, params.pageSize / pageTokens);
    const int perLoad = 32 / quarters;
    uint32_t page = 0;
    forEachPiece(params, row, [&](const Piece& piece) {
      const int32_t* table =
          params.blockTable + static_cast<int64_t>(piece.request) * params.blockTableStride;
      const auto entryOf = [&](int first) { return (first * quarters + lane) / shareOfPage; };
      const auto idOf = [&](int first) {
        const int entry = entryOf(first);
        return static_cast<int64_t>(entry) * params.pageSize < piece.length ? table[entry] : -1;
      };
      // Requested ahead of as many pages as a warp has entries of: a load takes as long as both pages.
      int upcoming = idOf(piece.beginPage);
      if (piece.request < row.endRequest && lane == 0) ptx::prefetchLine(table + params.blockTableStride);
      for (int first = piece.beginPage; first < piece.endPage; first += perLoad) {
        const int mine = upcoming;
        upcoming = idOf(first + perLoad);
        const int count = min(perLoad, piece.endPage - first);
        for (int index = 0; index < count; index++, page++) {
          const int id = __shfl_sync(~0u, mine, index * quarters + lane * quarters / 4);
          const bool exists = static_cast<uint32_t>(id) < static_cast<uint32_t>(params.pages);
          const uint32_t present = __ballot_sync(~0u, exists) & 15;
          const Part part{exists ? id : params.pages, (first + index) % shareOfPage * pageTokens, present};
          if (lane < 4 && lane * quarters % 4 == 0) {
            const int owner = (first + index - piece.beginPage) % 2;
            loadHalf(maps, shared, page, half, owner != half, lane, quarters == 1, part);
          }
          __syncwarp();
        }
      }
    });
  }

  /** Query rows into K-major swizzled tiles, once the piece before has done with its own; zeros past the last
   * row. */
  static __device__ void loadQueries(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    constexpr int rowChunks = queryDim * 2 / 16;
    uint32_t parity = 1;
    forEachPiece(params, row, [&](const Piece& piece) {
      if (piece.endPage <= piece.beginPage) return;
      const T* first = params.firstQuery(piece.request, blockIdx.z);
      ptx::wait(shared.queryEmpty, parity);
      parity ^= 1;
#pragma unroll 2
      for (int index = threadIdx.x % queryThreads; index < rowsPerCta * rowChunks; index += queryThreads) {
        const int queryRow = index / rowChunks;
        const int chunk = index % rowChunks;
        const bool present = rowBegin() + queryRow < params.rows();
        const T* source = first + (present ? shared.places[queryRow].query : 0) + chunk * 8;
        const int place = (chunk % 8) ^ (queryRow & 7);
        ptx::copyAsync16(shared.q + chunk / 8 * tileBytes + queryRow * 128 + place * 16, source, present);
      }
      ptx::waitCopies();
      ptx::fenceAsyncProxy();
      ptx::arrive(shared.queryFull);
    });
  }

  /** Publishes each split once it is written: waiting for that would keep the consumers from their next
   * piece. */
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
