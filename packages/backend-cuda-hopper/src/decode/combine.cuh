#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "params.h"
#include "pieces.cuh"
#include "row-places.cuh"

namespace polymla {

/**
 * Merges the splits of one request, each of the request's CTAs its share, once all of them have written theirs.
 *
 * The shares are runs of units, what a warp copies at once of one row. A CTA's share of all splits is at most as large as one split
 * and a unit per split: it is copied into shared memory as a whole, all of it in flight at once, with little code. Both
 * count here: the GPU waits for this, and code that has not run yet comes from device memory. Sums run in a fixed order.
 */
template <class T, int Threads>
struct Combine {
  static constexpr int laneValues = 16 / sizeof(T);
  static constexpr int unitValues = 32 * laneValues;
  static constexpr int unitsPerRow = valueDim / unitValues;
  static constexpr int warps = Threads / 32;
  static constexpr int maxSplits = 160;

  template <int Rows>
  struct Shared {
    alignas(16) T parts[Rows * unitsPerRow + maxSplits][unitValues];
    /** [row of this CTA's share][split]: a share of 1 / splits of the rows starts and ends inside a row. */
    float weights[Rows + 2 * maxSplits];
  };

  const DecodeParams<T>& params;
  const Piece& piece;
  const RowPlaces* places;  ///< of the row block's rows
  int kvHead;
  int rowBegin;  ///< of this CTA's row block

  /** By `Threads` threads, for which `barrier` is. `rowCount`: rows of the row block, at most Rows. */
  template <int Rows, class Barrier>
  __device__ __forceinline__ void run(Shared<Rows>& shared, int rowCount, Barrier&& barrier) const {
    const int units = rowCount * unitsPerRow;
    const int begin = units * piece.split / piece.splits;
    const int share = units * (piece.split + 1) / piece.splits - begin;
    const int firstRow = begin / unitsPerRow;
    const int endRow = (begin + share + unitsPerRow - 1) / unitsPerRow;
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;

    const int64_t splitStride = static_cast<int64_t>(params.headsKv) * params.rows();
    const int64_t first = params.partialRow(piece.firstSplit, kvHead, rowBegin);
    const bool many = share >= warps;
    const int splitStep = many ? 1 : warps;
    int split = many ? 0 : warp;
    const T* source =
        reinterpret_cast<const T*>(params.partialOut) + (first + split * splitStride) * valueDim + begin * unitValues + lane * laneValues;
#pragma unroll 1
    for (; split < piece.splits; split += splitStep, source += splitStep * splitStride * valueDim) {
#pragma unroll 1
      for (int unit = many ? warp : 0; unit < share; unit += many ? warps : 1) {
        ptx::copyAsync16(&shared.parts[split * share + unit][lane * laneValues], source + unit * unitValues, true);
      }
    }
#pragma unroll 1
    for (int row = firstRow + warp; row < endRow; row += warps) {
      weigh(shared.weights + (row - firstRow) * piece.splits, params.partialLse + first + row, splitStride, row);
    }
    ptx::waitCopies();
    barrier();

    constexpr int pairs = unitValues / 2;
    T* out = params.out + params.firstRow(piece.request, kvHead) * valueDim;
#pragma unroll 1
    for (int index = threadIdx.x; index < share * pairs; index += Threads) {
      const int unit = index / pairs;
      const int row = (begin + unit) / unitsPerRow;
      const int column = (begin + unit) % unitsPerRow * unitValues + index % pairs * 2;
      const float* weights = shared.weights + (row - firstRow) * piece.splits;
      const T* part = &shared.parts[unit][index % pairs * 2];
      float2 sum = make_float2(0, 0);
#pragma unroll 8
      for (int split = 0; split < piece.splits; split++, part += share * unitValues) {
        const float2 value = ptx::unpack<T>(*reinterpret_cast<const uint32_t*>(part));
        sum.x += weights[split] * value.x;
        sum.y += weights[split] * value.y;
      }
      *reinterpret_cast<uint32_t*>(out + places[row].out * valueDim + column) = ptx::pack<T>(sum.x, sum.y);
    }
    // The next request's parts will lie in the same place.
    barrier();
  }

 private:
  /** Normalised weights of a row's splits from their base-2 lse, by a warp; writes the row's lse. */
  __device__ __forceinline__ void weigh(float* weights, const float* lse, int64_t splitStride, int row) const {
    constexpr int perLane = maxSplits / 32;
    constexpr float ln2 = 0.693147180559945309f;
    const int lane = threadIdx.x % 32;
    float values[perLane];
    float max = -INFINITY;
    lse += lane * splitStride;
#pragma unroll
    for (int i = 0; i < perLane; i++, lse += 32 * splitStride) {
      values[i] = i * 32 + lane < piece.splits ? __ldcg(lse) : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < perLane; i++) max = fmaxf(max, values[i]);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(~0u, max, step));
    const float reference = max == -INFINITY ? 0.0f : max;
    float total = 0;
#pragma unroll
    for (int i = 0; i < perLane; i++) total += values[i] = ptx::exp2Fast(values[i] - reference);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
    const float norm = total > 0 ? 1 / total : 0.0f;
#pragma unroll
    for (int i = 0; i < perLane; i++) {
      if (i * 32 + lane < piece.splits) weights[i * 32 + lane] = values[i] * norm;
    }
    // CTAs that share a row write the same value.
    if (lane == 0) {
      params.lse[params.firstLse(piece.request, kvHead) + places[row].lse] = total > 0 ? (max + ptx::log2Fast(total)) * ln2 : INFINITY;
    }
  }
};

}  // namespace polymla
