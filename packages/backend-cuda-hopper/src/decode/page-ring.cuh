#pragma once
#include "../host/tensor-map.h"
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "../ptx/wgmma.cuh"
#include "params.h"

namespace polymla {

/**
 * A ring of shared memory through which pages of 64 tokens stream, page n of the stream in slot n % Slots.
 *
 * A page lies in groups of 8 tokens, a group as one 128-byte-swizzled tile of 8 rows after the other: what a group takes is
 * contiguous in device memory, which copies sooner than 64 rows of single tiles (measured, see NOTES.md).
 */
template <int Tiles, int Slots = 2>
struct PageRing {
  static constexpr int tileGroupBytes = cacheGroupTokens * tileColumns * 2;
  static constexpr int groupBytes = Tiles * tileGroupBytes;
  static constexpr int pageBytes = pageTokens / cacheGroupTokens * groupBytes;
  static constexpr int bytes = Slots * pageBytes;
  /** From an operand's 16 tokens to the next 16. */
  static constexpr uint32_t tokenStepBytes = ptx::mmaDepth / cacheGroupTokens * groupBytes;

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

    __device__ __forceinline__ void nextPage() {
      slot = slot + 1 < Slots ? slot + 1 : 0;
      parity ^= slot == 0;
    }
  };

  /**
   * Requests 64 tokens as soon as the slot is free, by a warp, in `1 << partsLog2` boxes, a lane each.
   *
   * @param map its box: the tokens of a part, all tiles
   * @param pageId of the part of this lane
   * @param group first group of 8 tokens of that part, in its page
   */
  static __device__ __forceinline__ void load(uint8_t* ring, Barriers& barriers, const Cursor& page, const CUtensorMap* map,
                                              uint64_t policy, int partsLog2, int pageId, int group, int kvHead, int pages) {
    const bool exists = static_cast<uint32_t>(pageId) < static_cast<uint32_t>(pages);
    const int lane = threadIdx.x % 32;
    // Lanes 0 to 3 stand for the quarters, so that the ballot is of them.
    const uint32_t present = __ballot_sync(~0u, exists) & 15;
    ptx::MBarrier& full = barriers.full[page.slot];
    ptx::wait(barriers.empty[page.slot], page.parity ^ 1);
    if (lane == 0) {
      barriers.present[page.slot] = present;
      ptx::arriveExpect(full, pageBytes);
    }
    __syncwarp();
    if (lane < 4 && (lane << partsLog2) % 4 == 0) {
      ptx::loadBox(ring + page.slot * pageBytes + lane * (pageBytes / 4), map, full, policy, 0, 0, kvHead * Tiles, group,
                   exists ? pageId : pages);
    }
    __syncwarp();
  }

  /** Requests the stream's first page, in one box, by one thread: all that the page id is not needed for comes after that. */
  static __device__ __forceinline__ void loadFirst(uint8_t* ring, Barriers& barriers, const CUtensorMap* map, uint64_t policy, int pageId,
                                                   int group, int kvHead, int pages) {
    const bool exists = static_cast<uint32_t>(pageId) < static_cast<uint32_t>(pages);
    ptx::loadBox(ring, map, barriers.full[0], policy, 0, 0, kvHead * Tiles, group, exists ? pageId : pages);
    barriers.present[0] = exists ? 15 : 0;
    ptx::arriveExpect(barriers.full[0], pageBytes);
  }

  static __device__ __forceinline__ void waitFull(Barriers& barriers, const Cursor& page) {
    ptx::wait(barriers.full[page.slot], page.parity);
  }

  static __device__ __forceinline__ uint8_t* pageOf(uint8_t* ring, const Cursor& page) { return ring + page.slot * pageBytes; }

  /** A tile of a page as an operand of the tensor cores. */
  static __device__ __forceinline__ uint64_t operand(uint8_t* ring, const Cursor& page, int tile) {
    return ptx::swizzledOperand(ptx::sharedAddress(pageOf(ring, page) + tile * tileGroupBytes), groupBytes);
  }

  /**
   * Zeroes a page's values from token `tokens` on: what lies there may be NaN, and 0 · NaN is NaN. By `Threads` threads, tiles
   * from `firstTile` on.
   */
  template <int TileCount, int Threads>
  static __device__ __forceinline__ void clearTail(uint8_t* ring, const Cursor& page, int firstTile, int tokens, int thread) {
    constexpr int rowChunks = TileCount * 8;
#pragma unroll 1
    for (int index = thread; index < (pageTokens - tokens) * rowChunks; index += Threads) {
      const int token = tokens + index / rowChunks;
      const int chunk = index % rowChunks;
      uint8_t* const row = pageOf(ring, page) + token / cacheGroupTokens * groupBytes + (firstTile + chunk / 8) * tileGroupBytes +
                           token % cacheGroupTokens * 128;
      *reinterpret_cast<uint4*>(row + chunk % 8 * 16) = make_uint4(0, 0, 0, 0);
    }
  }

  /** Gives the page's slot back, by one thread of each releasing unit. */
  static __device__ __forceinline__ void release(Barriers& barriers, const Cursor& page) { ptx::arrive(barriers.empty[page.slot]); }
};

}  // namespace polymla
