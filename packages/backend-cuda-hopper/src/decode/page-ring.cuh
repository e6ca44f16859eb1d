#pragma once
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "params.h"

namespace polymla {

/**
 * A ring of shared memory through which pages stream, `BoxTiles` 64-column tiles at a time, so that the ring need not
 * hold a whole number of pages. Box n of the stream lies in slot n % Slots.
 */
template <int BoxTiles, int Slots>
struct PageRing {
  static constexpr int boxTiles = BoxTiles;
  static constexpr int boxes = pageTiles / BoxTiles;
  static constexpr int slots = Slots;
  static constexpr int boxBytes = BoxTiles * tileBytes;
  static constexpr int bytes = Slots * boxBytes;
  static_assert(pageTiles % BoxTiles == 0 && Slots >= boxes);

  struct Barriers {
    ptx::MBarrier full[Slots];
    ptx::MBarrier empty[Slots];
    /** Tokens of the page in this slot that exist: 0 where its table entry lies outside the cache. */
    int tokens[Slots];
  };

  /** `releases`: arrivals on `empty` that free a slot. */
  static __device__ void init(Barriers& barriers, uint32_t releases) {
    for (int slot = 0; slot < Slots; slot++) {
      ptx::init(barriers.full[slot], 1);
      ptx::init(barriers.empty[slot], releases);
    }
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

  /** Requests a page, by one thread, as its slots become free. */
  static __device__ void load(uint8_t* ring, Barriers& barriers, const Cursor& page, const CUtensorMap* map, int pageId,
                              int kvHead, int pages) {
    const bool exists = static_cast<uint32_t>(pageId) < static_cast<uint32_t>(pages);
#pragma unroll
    for (int index = 0; index < boxes; index++) {
      const Cursor at = page.box(index);
      ptx::wait(barriers.empty[at.slot], at.parity ^ 1);
      barriers.tokens[at.slot] = exists ? pageTokens : 0;
      ptx::arriveExpect(barriers.full[at.slot], boxBytes);
      ptx::loadBox(ring + at.slot * boxBytes, map, barriers.full[at.slot], 0, 0, index * BoxTiles, kvHead,
                   exists ? pageId : pages);
    }
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
