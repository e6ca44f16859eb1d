#pragma once
#include "../ptx/matrix.cuh"
#include "../ptx/wgmma-wide.cuh"
#include "many-rows-shared.cuh"

namespace polymla {

/** Warpgroups 0 and 1 of the many-rows kernel: half of the columns of O each, the results, the merge. */
template <class T>
struct ManyRowsValues : ManyRows<T> {
  using Base = ManyRows<T>;
  using Base::arrivalOf;
  using Base::boxBytes;
  using Base::boxTiles;
  using Base::groupBoxes;
  using Base::groupThreads;
  using Base::parityOf;
  using Base::queryBoxes;
  using Base::rowBegin;
  using Base::rowsPerCta;
  using Base::states;
  using Base::syncValueGroups;
  using Base::valueBoxes;
  using typename Base::Merge;
  using typename Base::PageState;
  using typename Base::ScoreCursor;
  using typename Base::Shared;
  using typename Base::ValueCursor;

  /** Of a box of values each, as in ptx::mmaWide. */
  using Output = float[groupBoxes][boxTiles * tileColumns / 2];

  static __device__ __forceinline__ int warp() { return threadIdx.x % groupThreads / 32; }
  /** The first of the two rows this thread has elements of; the other one is 8 further on. */
  static __device__ __forceinline__ int firstRow() { return warp() * 16 + threadIdx.x % 32 / 4; }

  /** The groups take turns with the boxes of a page, so that they are given back in the order in which they will be written. */
  static __device__ __forceinline__ constexpr int boxOf(int group, int index) { return 2 * index + group; }

  static __device__ __forceinline__ void shrink(Output& o, const PageState& state) {
    if (state.shrinks[warp()] == 0) return;
    const float factor[2] = {state.factor[firstRow()], state.factor[firstRow() + 8]};
#pragma unroll
    for (auto& box : o) {
#pragma unroll
      for (int i = 0; i < boxTiles * tileColumns / 2; i++) box[i] *= factor[i / 2 & 1];
    }
  }

  /** Zeroes this group's values from key `tokens` of a page on: what lies there may be NaN, and 0 · NaN is NaN. */
  template <int group>
  static __device__ __forceinline__ void clearTail(Shared& shared, const ValueCursor& value, int tokens) {
    if (tokens >= pageTokens) return;
    const int chunks = (pageTokens - tokens) * 8;
#pragma unroll 1
    for (int tile = 0; tile < groupBoxes * boxTiles; tile++) {
      uint8_t* box = shared.values[value.ahead(boxOf(group, tile / boxTiles)).slot];
      uint4* tail = reinterpret_cast<uint4*>(box + tile % boxTiles * tileBytes) + tokens * 8;
#pragma unroll 1
      for (int chunk = threadIdx.x % groupThreads; chunk < chunks; chunk += groupThreads) {
        tail[chunk] = make_uint4(0, 0, 0, 0);
      }
    }
    ptx::fenceAsyncProxy();
    ptx::syncThreads<3 + group, groupThreads>();
  }

  /** Starts O += P·V of one box of a page. */
  static __device__ __forceinline__ void startBox(const Shared& shared, int slot, uint64_t p,
                                                  float (&o)[boxTiles * tileColumns / 2]) {
    const uint64_t v = ptx::wideOperandTransposed(ptx::sharedAddress(shared.values[slot]));
    ptx::pinAccumulators(o);
    ptx::mmaFence();
#pragma unroll
    for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
      ptx::mmaWide<T>(o, ptx::advance(p, step * ptx::stepBytes), ptx::advance(v, step * ptx::stepBytesTransposed));
    }
    ptx::mmaCommit();
  }

  /** O += P·V of a page at its turn, of one box at once where memory is late; each is given back as soon as it has been used. */
  template <int group>
  static __device__ __forceinline__ void multiply(Shared& shared, const ValueCursor& value, const ScoreCursor& score,
                                                  PageState& state, uint32_t parity, Output& o) {
    static_assert(groupBoxes == 2);
    const uint64_t p = ptx::swizzledOperand(ptx::sharedAddress(shared.scoreTiles[score.slot]));
    const int slots[2] = {value.ahead(boxOf(group, 0)).slot, value.ahead(boxOf(group, 1)).slot};
    // Memory that is late must not make values wait, too: they would give their boxes back later.
    const ValueCursor next = value.ahead(valueBoxes).ahead(valueBoxes - 1);
    if (ptx::isComplete(shared.valueFull[next.slot], next.parity)) ptx::wait(state.turn, parity);
    startBox(shared, slots[0], p, o[0]);
    ptx::mmaWait<0>();
    ptx::pinAccumulators(o[0]);
    ptx::arriveWarp(shared.valueEmpty[slots[0]]);
    ptx::wait(state.turn, parity);
    startBox(shared, slots[1], p, o[1]);
    ptx::mmaWait<0>();
    ptx::pinAccumulators(o[1]);
    ptx::arriveWarp(shared.valueEmpty[slots[1]]);
    ptx::arriveWarp(shared.scoreEmpty[score.slot]);
  }

  /** Writes this group's columns of O, 16 bytes a lane: to the output whole sectors a quad, or as units of a split. */
  template <int group>
  static __device__ __forceinline__ void write(const DecodeParams<T>& params, const Shared& shared, const Piece& piece,
                                               const float (&norm)[2], const Output& o) {
    constexpr int boxQuads = boxTiles * tileColumns / Merge::unitDims;
#pragma unroll
    for (int row = 0; row < 2; row++) {
      const int place = firstRow() + 8 * row;
      const bool present = rowBegin() + place < params.rows();
      T* const to = piece.isSplit
                        ? Merge::unitOf(params, piece.slot(), blockIdx.z, blockIdx.y, place / Merge::unitRows * Merge::rowUnits)
                        : params.out + (params.firstRow(piece.request, blockIdx.z) + shared.places[place].out) * valueDim + threadIdx.x % 4 * 8;
      const int step = piece.isSplit ? Merge::unitValues : Merge::unitDims;
#pragma unroll
      for (int index = 0; index < groupBoxes * boxQuads; index++) {
        // Of this lane: 2 columns of each of 4 blocks of 8.
        const float* d = o[index / boxQuads] + index % boxQuads * 16 + 2 * row;
        uint32_t pairs[4];
#pragma unroll
        for (int block = 0; block < 4; block++) {
          pairs[block] = ptx::pack<T>(d[4 * block] * norm[row], d[4 * block + 1] * norm[row]);
        }
        // Then it has all columns of its own block.
        if (!piece.isSplit) ptx::transposeQuad(pairs);
        const int quad = boxOf(group, index / boxQuads) * boxQuads + index % boxQuads;
        if (present) *reinterpret_cast<uint4*>(to + quad * step) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
      }
    }
  }

  template <int group>
  static __device__ __forceinline__ void run(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    ValueCursor value;
    ScoreCursor score;
    uint32_t page = 0;
    uint32_t pieces = 0;
    int written = 0;
#pragma unroll 1
    for (int request = row.beginRequest; request <= row.endRequest; request++, pieces++) {
      const Piece piece = pieceOf(params, row, request);
      Output o = {};
      if (Base::hasQueries(params, shared, request, piece.beginPage < piece.endPage)) value = value.ahead(queryBoxes);
#pragma unroll 1
      for (int index = piece.beginPage; index < piece.endPage; index++, page++) {
        const PageState& state = shared.state[page % states];
        ptx::wait(shared.state[page % states].ready, parityOf<states>(page));
        shrink(o, state);
        clearTail<group>(shared, value, piece.length - index * pageTokens);
        multiply<group>(shared, value, score, shared.state[page % states], parityOf<states>(page), o);
        value = value.ahead(valueBoxes);
        score = score.ahead(1);
      }
      ptx::wait(shared.normFull[pieces % 2], parityOf<2>(pieces));
      const float norm[2] = {shared.norm[pieces % 2][firstRow()], shared.norm[pieces % 2][firstRow() + 8]};
      ptx::arriveWarp(shared.normEmpty[pieces % 2]);
      write<group>(params, shared, piece, norm, o);
      if (piece.isSplit) ptx::arrive(shared.splitWritten[written++]);
    }
  }

  /**
   * This CTA's share of the merges, by both groups. Only at its end: every CTA first finishes its own work, so that none waits
   * for one that waits.
   */
  static __device__ __forceinline__ void merge(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    forEachSplit(params, row, [&](const Piece& piece) {
      const int count = min(rowsPerCta, params.rows() - rowBegin());
      const Merge merge{params, piece, shared.places, static_cast<int>(blockIdx.z), rowBegin()};
      merge.run(shared.merge, count, arrivalOf(params, piece), syncValueGroups);
    });
  }
};

}  // namespace polymla
