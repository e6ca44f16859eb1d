#pragma once
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "params.h"

namespace polymla {

/**
 * A ring of shared memory through which pages stream, `BoxTiles` 64-column tiles at a time, so that the ring need not
 * hold a whole number of pages. Box n of the stream lies in slot n % Slots.
 */
template <int BoxTiles, int Slots, int PageTiles = pageTiles>
struct PageRing {
  static constexpr int boxTiles = BoxTiles;
  static constexpr int boxes = PageTiles / BoxTiles;
  static constexpr int slots = Slots;
  static constexpr int boxBytes = BoxTiles * tileBytes;
  static constexpr int bytes = Slots * boxBytes;
  static_assert(PageTiles % BoxTiles == 0 && Slots >= boxes);

  struct Barriers {
    ptx::MBarrier full[Slots];
    ptx::MBarrier empty[Slots];
    /** A bit per 16 tokens of the page in this slot: clear where the table entry lies outside the cache. */
    uint32_t present[Slots];
  };

  /** By one thread: at constant addresses, faster than by several. `releases`: arrivals on `empty` that free a slot. */
  static __device__ __forceinline__ void init(Barriers& barriers, uint32_t releases) {
    for (auto& barrier : barriers.full) ptx::init(barrier, 1);
    for (auto& barrier : barriers.empty) ptx::init(barrier, releases);
  }

  /** Place of a page in the stream. */
  struct Cursor {
    int slot = 0;
    uint32_t parity = 0;

    __device__ __forceinline__ Cursor box(int index) const {
      const int slot_ = slot + index;
      return slot_ < Slots ? Cursor{slot_, parity} : Cursor{slot_ - Slots, parity ^ 1};
    }
    __device__ __forceinline__ void nextPage() { *this = box(boxes); }
  };

  /**
   * Requests 64 tokens of one page of the cache, by a warp, as slots become free.
   *
   * @param map its box: 64 tokens, BoxTiles tiles
   * @param token first one, of the page
   */
  static __device__ __forceinline__ void load(uint8_t* ring, Barriers& barriers, const Cursor& page,
                                              const CUtensorMap* map, uint64_t policy, int pageId, int token, int kvHead,
                                              int pages) {
    const bool exists = static_cast<uint32_t>(pageId) < static_cast<uint32_t>(pages);
    const int index = threadIdx.x % 32;
    if (index < boxes) {
      const Cursor at = page.box(index);
      ptx::wait(barriers.empty[at.slot], at.parity ^ 1);
      barriers.present[at.slot] = exists ? 15 : 0;
      ptx::arriveExpect(barriers.full[at.slot], boxBytes);
      ptx::loadBox(ring + at.slot * boxBytes, map, barriers.full[at.slot], policy, 0, token, index * BoxTiles, kvHead,
                   exists ? pageId : pages);
    }
    __syncwarp();
  }

  /**
   * Requests 64 tokens in `parts` parts, 2 or 4, from as many pages, by a warp.
   *
   * @param map its box: the tokens of a part, 1 tile
   * @param pageId in lanes 0 to 3, of the page with that quarter of the tokens
   */
  static __device__ __forceinline__ void loadParts(uint8_t* ring, Barriers& barriers, const Cursor& page,
                                                   const CUtensorMap* map, uint64_t policy, int parts, int pageId, int kvHead,
                                                   int pages) {
    constexpr int quarterBytes = tileBytes / 4;
    const int lane = threadIdx.x % 32;
    const bool exists = static_cast<uint32_t>(pageId) < static_cast<uint32_t>(pages);
    const uint32_t present = __ballot_sync(~0u, exists) & 15;
#pragma unroll 1
    for (int index = 0; lane < 4 && index < boxes; index++) {
      const Cursor at = page.box(index);
      ptx::wait(barriers.empty[at.slot], at.parity ^ 1);
      if (lane == 0) {
        barriers.present[at.slot] = present;
        ptx::arriveExpect(barriers.full[at.slot], boxBytes);
      }
#pragma unroll 1
      for (int tile = 0; lane * parts % 4 == 0 && tile < BoxTiles; tile++) {
        uint8_t* part = ring + at.slot * boxBytes + tile * tileBytes + lane * quarterBytes;
        ptx::loadBox(part, map, barriers.full[at.slot], policy, 0, 0, index * BoxTiles + tile, kvHead, exists ? pageId : pages);
      }
    }
    __syncwarp();
  }

  static __device__ __forceinline__ void waitFull(Barriers& barriers, const Cursor& page, int box) {
    const Cursor at = page.box(box);
    ptx::wait(barriers.full[at.slot], at.parity);
  }

  static __device__ __forceinline__ uint8_t* tile(uint8_t* ring, const Cursor& page, int tile) {
    return ring + page.box(tile / BoxTiles).slot * boxBytes + tile % BoxTiles * tileBytes;
  }

  /** Gives all slots of the page back, by one thread of each releasing unit. */
  static __device__ __forceinline__ void release(Barriers& barriers, const Cursor& page) {
#pragma unroll
    for (int index = 0; index < boxes; index++) ptx::arrive(barriers.empty[page.box(index).slot]);
  }
};

}  // namespace polymla
