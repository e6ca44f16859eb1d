#pragma once
#include "../ptx/wgmma-wide.cuh"
#include "many-rows-softmax.cuh"

namespace polymla {

/** A warpgroup's part of the many-rows kernel's two products, and what they read given back. */
template <class T>
struct ManyRowsMultiply : ManyRowsSoftmax<T> {
  using Base = ManyRowsSoftmax<T>;
  using Base::boxTiles;
  using Base::groupBoxes;
  using Base::groupThreads;
  using Base::groupTiles;
  using Base::scoreTile;
  using typename Base::Place;
  using typename Base::Scores;
  using typename Base::Shared;
  using typename Base::Weights;

  /** Of a box of values each, as in ptx::mmaWide. */
  using Output = float[groupBoxes][boxTiles * tileColumns / 2];

  static __device__ __forceinline__ void syncGroup(int group) {
    if (group == 0) {
      ptx::syncThreads<2, groupThreads>();
    } else {
      ptx::syncThreads<3, groupThreads>();
    }
  }

  /** Starts S = Q·Kᵀ of a page, with the tiles first that this group will use as values: they arrive first.
   */
  static __device__ __forceinline__ void startScores(Shared& shared, uint32_t page, int group, Scores& s) {
    const Place place(page);
    const uint32_t q = ptx::sharedAddress(shared.q);
    const uint32_t k = ptx::sharedAddress(shared.pages[place.slot]);
#pragma unroll
    for (int index = 0; index < pageTiles; index++) {
      const int tile = index == scoreTile ? index : (index + group * groupTiles) % scoreTile;
      if (index % boxTiles == 0) {
        ptx::wait(shared.slot[place.slot].full[tile / boxTiles], place.parity);
        ptx::pinAccumulators(s);
        ptx::mmaFence();
      }
      const uint64_t a = ptx::swizzledOperand(q + tile * tileBytes);
      const uint64_t b = ptx::swizzledOperand(k + tile * tileBytes);
#pragma unroll
      for (int step = 0; step < tileColumns / ptx::mmaDepth; step++) {
        const uint32_t bytes = step * ptx::stepBytes;
        ptx::mmaSquare<T>(s, ptx::advance(a, bytes), ptx::advance(b, bytes), index + step > 0);
      }
    }
    ptx::mmaCommit();
  }

  /** This group's columns of a page as values. */
  static __device__ __forceinline__ uint8_t* values(Shared& shared, uint32_t page, int group) {
    return shared.pages[Place(page).slot] + group * groupTiles * tileBytes;
  }

  /** Starts O += P·V with the other group's P, a box at a time. */
  static __device__ __forceinline__ void startValues(Shared& shared, uint32_t page, int group, Output& o) {
    const uint8_t* const weights = shared.pages[Place(page).slot] + scoreTile * tileBytes;
    const uint64_t p = ptx::swizzledOperand(ptx::sharedAddress(weights));
    const uint64_t v = ptx::wideOperandTransposed(ptx::sharedAddress(values(shared, page, group)));
    pin(o);
    ptx::mmaFence();
#pragma unroll
    for (int box = 0; box < groupBoxes; box++) {
#pragma unroll
      for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
        const uint32_t bytes = box * boxTiles * tileBytes + step * ptx::stepBytesTransposed;
        ptx::mmaWide<T>(o[box], ptx::advance(p, step * ptx::stepBytes), ptx::advance(v, bytes));
      }
      ptx::mmaCommit();
    }
  }

  /** The same with this group's own. */
  static __device__ __forceinline__ void startValues(Shared& shared, uint32_t page, int group, Output& o,
                                                     const Weights& p) {
    const uint64_t v = ptx::wideOperandTransposed(ptx::sharedAddress(values(shared, page, group)));
    pin(o);
    ptx::mmaFence();
#pragma unroll
    for (int box = 0; box < groupBoxes; box++) {
#pragma unroll
      for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
        const uint32_t bytes = box * boxTiles * tileBytes + step * ptx::stepBytesTransposed;
        ptx::mmaWide<T>(o[box], p + 4 * step, ptx::advance(v, bytes));
      }
      ptx::mmaCommit();
    }
  }

  static __device__ __forceinline__ void pin(Output& o) {
    for (auto& box : o) ptx::pinAccumulators(box);
  }

  /** Waits for the multiplications with a page's values and gives each box back to the warp that copies. */
  static __device__ __forceinline__ void finishValues(Shared& shared, uint32_t page, int group, Output& o) {
    static_assert(groupBoxes == 2);
    ptx::mmaWait<1>();
    release(shared, page, group * groupBoxes);
    ptx::mmaWait<0>();
    pin(o);
    release(shared, page, group * groupBoxes + 1);
  }

  static __device__ __forceinline__ void release(Shared& shared, uint32_t page, int box) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) ptx::arrive(shared.slot[Place(page).slot].empty[box]);
  }

  static __device__ __forceinline__ void rescale(Output& o, const float2& scale) {
    if (!__any_sync(~0u, scale.x != 1 || scale.y != 1)) return;
#pragma unroll
    for (auto& box : o) {
#pragma unroll
      for (int i = 0; i < boxTiles * tileColumns / 2; i++) box[i] *= i / 2 & 1 ? scale.y : scale.x;
    }
  }

  /** Zeroes this group's values from key `tokens` of a page on: what lies there may be NaN, and 0 · NaN is
   * NaN. */
  static __device__ __forceinline__ void clearTail(Shared& shared, uint32_t page, int group, int tokens) {
    if (tokens >= pageTokens) return;
    const int chunks = (pageTokens - tokens) * 8;
#pragma unroll 1
    for (int tile = 0; tile < groupTiles; tile++) {
      uint4* tail = reinterpret_cast<uint4*>(values(shared, page, group) + tile * tileBytes) + tokens * 8;
#pragma unroll 1
      for (int chunk = threadIdx.x % groupThreads; chunk < chunks; chunk += groupThreads) {
        tail[chunk] = make_uint4(0, 0, 0, 0);
      }
    }
    ptx::fenceAsyncProxy();
    syncGroup(group);
  }

  static __device__ __forceinline__ void releaseQueries(Shared& shared) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) ptx::arrive(shared.queryEmpty);
  }
};

}  // namespace polymla
