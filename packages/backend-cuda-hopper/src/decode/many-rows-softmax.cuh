#pragma once
#include "../ptx/math.cuh"
#include "../ptx/matrix-store.cuh"
#include "../ptx/matrix.cuh"
#include "many-rows-shared.cuh"

namespace polymla {

/** A warpgroup's softmax in the many-rows kernel, and what the two warpgroups tell each other of it. */
template <class T>
struct ManyRowsSoftmax : ManyRows<T> {
  using Base = ManyRows<T>;
  using Base::groupThreads;
  using Base::rowBegin;
  using Base::scoreTile;
  using Base::syncConsumers;
  using typename Base::Place;
  using typename Base::Shared;
  using typename Base::Slot;

  /** Of the two rows this thread has elements of: 16 warp + lane / 4 and 8 further on. */
  struct Rows {
    int first;
    int visible[2];  ///< keys
    float max[2];    ///< what the weights so far are relative to, base 2
    float sum[2];    ///< this thread's own part, of this group's pages
  };

  using Scores = float[pageTokens / 2];
  using Weights = uint32_t[pageTokens / 4];

  /**
   * P of a page from its scores, relative to a maximum that is raised only where weights would pass 2^8: O
   * must then be scaled, which is rare. Tells the other group.
   *
   * @param begin first key of the page
   * @returns by how much O of the two rows shrinks
   */
  static __device__ __forceinline__ float2 softmax(Shared& shared, uint32_t page, Rows& rows, float scaleLog2,
                                                   int begin, Scores& s, Weights& p) {
    constexpr float maxLog2Weight = 8;
    const Place place(page);
    Slot& slot = shared.slot[place.slot];
    const int lane = threadIdx.x % 32;
    const uint32_t present = slot.present;
    if (present != 15 || min(rows.visible[0], rows.visible[1]) < begin + pageTokens) {
#pragma unroll
      for (int i = 0; i < pageTokens / 2; i++) {
        const int token = 8 * (i / 4) + 2 * (lane % 4) + (i & 1);
        const bool seen = begin + token < rows.visible[i / 2 & 1] && (present >> token / 16 & 1);
        s[i] = seen ? s[i] : -INFINITY;
      }
    }
    // Both rows at each step: one alone would wait for its own results.
    float max[2] = {s[0], s[2]};
#pragma unroll
    for (int i = 0; i < pageTokens / 2; i++) max[i / 2 & 1] = fmaxf(max[i / 2 & 1], s[i]);
#pragma unroll
    for (int step = 1; step <= 2; step *= 2) {
#pragma unroll
      for (int row = 0; row < 2; row++) max[row] = fmaxf(max[row], __shfl_xor_sync(~0u, max[row], step));
    }
    float scale[2];
    float reference[2];
#pragma unroll
    for (int row = 0; row < 2; row++) {
      const float raised = max[row] * scaleLog2;
      const float old = rows.max[row];
      rows.max[row] = raised > old + maxLog2Weight ? raised : old;
      // Nothing visible so far: any finite reference gives weights 0, where −∞ would give NaN.
      reference[row] = rows.max[row] == -INFINITY ? 0.0f : rows.max[row];
      scale[row] = ptx::exp2Fast(old - reference[row]);
      rows.sum[row] *= scale[row];
    }
#pragma unroll
    for (int i = 0; i < pageTokens / 2; i += 2) {
      const int row = i / 2 & 1;
      s[i] = ptx::exp2Fast(fmaf(s[i], scaleLog2, -reference[row]));
      s[i + 1] = ptx::exp2Fast(fmaf(s[i + 1], scaleLog2, -reference[row]));
      p[i / 2] = ptx::pack<T>(s[i], s[i + 1]);
    }
    uint8_t* const tile = shared.pages[place.slot] + scoreTile * tileBytes;
    const int row = threadIdx.x % groupThreads / 32 * 16 + lane % 16;
#pragma unroll
    for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
      const int chunk = (2 * step + lane / 16) ^ (row & 7);
      ptx::storeMatrices(tile + row * 128 + chunk * 16, p + 4 * step);
    }
    if (lane % 4 == 0) {
#pragma unroll
      for (int index = 0; index < 2; index++) {
        slot.scale[rows.first + 8 * index] = scale[index];
        slot.max[rows.first + 8 * index] = rows.max[index];
      }
    }
    ptx::fenceAsyncProxy();
    __syncwarp();
    if (lane == 0) ptx::arrive(slot.ready);
    // The sums last: nobody waits for them.
#pragma unroll
    for (int i = 0; i < pageTokens / 2; i += 2) rows.sum[i / 2 & 1] += s[i] + s[i + 1];
    return make_float2(scale[0], scale[1]);
  }

  /** The other group's softmax of a page: its maxima become this one's. @returns by how much O shrinks */
  static __device__ __forceinline__ float2 awaitSoftmax(Shared& shared, uint32_t page, Rows& rows) {
    const Place place(page);
    Slot& slot = shared.slot[place.slot];
    ptx::wait(slot.ready, place.parity);
    float scale[2];
#pragma unroll
    for (int row = 0; row < 2; row++) {
      scale[row] = slot.scale[rows.first + 8 * row];
      rows.max[row] = slot.max[rows.first + 8 * row];
      rows.sum[row] *= scale[row];
    }
    return make_float2(scale[0], scale[1]);
  }

  /** Adds up both groups' sums, writes lse. @returns 1 / sum of the two rows, 0 for a row that saw nothing */
  static __device__ __forceinline__ float2 finishSoftmax(const DecodeParams<T>& params, Shared& shared,
                                                         const Rows& rows, const Piece& piece, int group,
                                                         int parity) {
    constexpr float ln2 = 0.693147180559945309f;
    const bool writes = threadIdx.x % 4 == 0;
    float norm[2];
#pragma unroll
    for (int row = 0; row < 2; row++) {
      float sum = rows.sum[row];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      if (writes) shared.sums[parity][group][rows.first + 8 * row] = sum;
    }
    syncConsumers();
#pragma unroll
    for (int row = 0; row < 2; row++) {
      const int place = rows.first + 8 * row;
      const float sum = shared.sums[parity][0][place] + shared.sums[parity][1][place];
      const bool empty = !(sum > 0);
      norm[row] = empty ? 0.0f : 1 / sum;
      if (group != 0 || !writes || rowBegin() + place >= params.rows()) continue;
      const float lse = rows.max[row] + ptx::log2Fast(sum);
      if (piece.isSplit) {
        const int64_t at = params.partialRow(piece.slot(), blockIdx.z, rowBegin() + place);
        params.partialLse[at] = empty ? -INFINITY : lse;
      } else {
        const int64_t at = params.firstLse(piece.request, blockIdx.z) + shared.places[place].lse;
        params.lse[at] = empty ? INFINITY : lse * ln2;
      }
    }
    return make_float2(norm[0], norm[1]);
  }
};

}  // namespace polymla
