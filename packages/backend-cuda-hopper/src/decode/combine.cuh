#pragma once
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "params.h"
#include "pieces.cuh"

namespace polymla {

/**
 * Merges the splits of one request, each of the request's CTAs its share, once all of them have written theirs.
 *
 * A unit of work is 128 values of one row, a warp's worth of 16-byte loads. Sums run in a fixed order. Latency is what
 * counts, with the whole GPU waiting: partial results are requested before the weights they will be multiplied with.
 */
template <class T, int Warps>
struct Combine {
  static constexpr int unitValues = 128;
  static constexpr int unitsPerRow = valueDim / unitValues;
  static constexpr int maxRows = 32;
  static constexpr int maxSplits = 160;

  struct Shared {
    float4 sums[Warps][32];
    /** [row of this CTA's share][split]: a share of 1 / splits of the rows starts and ends inside a row. */
    float weights[maxRows + 2 * maxSplits];
  };

  const DecodeParams<T>& params;
  Shared& shared;
  const Piece& piece;
  int kvHead;
  int rowBegin;  ///< of this CTA's row block
  int begin;     ///< this CTA's share of the units, set by run
  int end;

  /** By `Warps` warps, for which `barrier` is. `rowCount`: rows of the row block. */
  template <class Barrier>
  __device__ void run(int rowCount, Barrier&& barrier) {
    const int units = rowCount * unitsPerRow;
    begin = units * piece.split / piece.splits;
    end = units * (piece.split + 1) / piece.splits;
    if (end - begin >= Warps) {
      runWarps(barrier);
    } else {
      runTeams(barrier);
    }
  }

 private:
  static constexpr float ln2 = 0.693147180559945309f;

  /** One unit, in the warp's 16-byte columns. */
  struct Place {
    const float* weights;
    int row;
    int column;
  };

  /** Partial results on their way: `Depth` splits of `Units` units. */
  template <int Units, int Depth>
  struct Parts {
    float4 values[Depth][Units];
  };

  __device__ __forceinline__ int firstRow() const { return begin / unitsPerRow; }
  __device__ __forceinline__ int endRow() const { return (end + unitsPerRow - 1) / unitsPerRow; }
  __device__ __forceinline__ float* weightsOf(int row) const {
    return shared.weights + (row - firstRow()) * piece.splits;
  }
  __device__ __forceinline__ int64_t partialRow(int split, int row) const {
    return params.partialRow(piece.firstSplit + split, kvHead, rowBegin + row);
  }

  __device__ __forceinline__ Place placeOf(int unit) const {
    const int inside = max(min(unit, end - 1), 0);
    const int row = inside / unitsPerRow;
    return {weightsOf(row), row, inside % unitsPerRow * unitValues + static_cast<int>(threadIdx.x % 32) * 4};
  }

  template <int Units, int Depth>
  __device__ __forceinline__ void request(Parts<Units, Depth>& parts, const Place (&places)[Units], int first,
                                          int step) const {
#pragma unroll
    for (int depth = 0; depth < Depth; depth++) {
      const int split = first + depth * step;
#pragma unroll
      for (int i = 0; i < Units; i++) {
        if (split >= piece.splits) continue;
        const float* row = params.partialOut + partialRow(split, places[i].row) * valueDim;
        parts.values[depth][i] = __ldcg(reinterpret_cast<const float4*>(row + places[i].column));
      }
    }
  }

  template <int Units, int Depth>
  __device__ __forceinline__ void accumulate(const Parts<Units, Depth>& parts, const Place (&places)[Units], int first,
                                             int step, float4 (&sums)[Units]) const {
#pragma unroll
    for (int depth = 0; depth < Depth; depth++) {
      const int split = first + depth * step;
#pragma unroll
      for (int i = 0; i < Units; i++) {
        if (split < piece.splits) add(sums[i], places[i].weights[split], parts.values[depth][i]);
      }
    }
  }

  /** Few splits: each warp takes whole units. */
  template <class Barrier>
  __device__ __forceinline__ void runWarps(Barrier&& barrier) const {
    constexpr int units = 4;
    constexpr int depth = 2;
    const int mine = begin + threadIdx.x / 32;
    Place places[units];
    Parts<units, depth> parts;
    const auto locate = [&](int unit) {
#pragma unroll
      for (int i = 0; i < units; i++) places[i] = placeOf(unit + i * Warps);
    };
    locate(mine);
    request(parts, places, 0, 1);
    for (int row = firstRow() + threadIdx.x; row < endRow(); row += Warps * 32) weighByThread(row);
    barrier();
    for (int unit = mine; unit < end; unit += units * Warps) {
      locate(unit);
      float4 sums[units] = {};
      for (int split = 0; split < piece.splits; split += depth) {
        if (unit > mine || split > 0) request(parts, places, split, 1);
        accumulate(parts, places, split, 1, sums);
      }
#pragma unroll
      for (int i = 0; i < units; i++) {
        if (unit + i * Warps < end) write(places[i], sums[i]);
      }
    }
  }

  /** Many splits: each of the fewer units is a team's, whose warps take every team-th split and add up. */
  template <class Barrier>
  __device__ __forceinline__ void runTeams(Barrier&& barrier) const {
    constexpr int depth = 8;
    const int warp = threadIdx.x / 32;
    int team = Warps;
    while (Warps / team < end - begin) team /= 2;
    const int unit = begin + warp / team;
    const int member = warp % team;
    const Place place[1] = {placeOf(unit)};
    Parts<1, depth> parts;
    request(parts, place, member, team);
    for (int row = firstRow() + warp; row < endRow(); row += Warps) weighByWarp(row);
    barrier();
    float4 sum[1] = {};
    for (int split = member; split < piece.splits; split += depth * team) {
      if (split > member) request(parts, place, split, team);
      accumulate(parts, place, split, team, sum);
    }
    shared.sums[warp][threadIdx.x % 32] = sum[0];
    barrier();
    if (unit >= end || member != 0) return;
    for (int other = 1; other < team; other++) add(sum[0], 1, shared.sums[warp + other][threadIdx.x % 32]);
    write(place[0], sum[0]);
  }

  /** Leaves the normalised weights of a row's splits in shared memory and writes the row's lse. */
  __device__ __forceinline__ void weighByThread(int row) const {
    float max = -INFINITY;
    float* weights = weightsOf(row);
    for (int split = 0; split < piece.splits; split++) {
      weights[split] = __ldcg(params.partialLse + partialRow(split, row));
    }
    for (int split = 0; split < piece.splits; split++) max = fmaxf(max, weights[split]);
    float total = 0;
    for (int split = 0; split < piece.splits; split++) total += weights[split] = weightOf(weights[split], max);
    const float norm = total > 0 ? 1 / total : 0.0f;
    for (int split = 0; split < piece.splits; split++) weights[split] *= norm;
    writeLse(row, max, total);
  }

  __device__ __forceinline__ void weighByWarp(int row) const {
    constexpr int perLane = maxSplits / 32;
    const int lane = threadIdx.x % 32;
    float lse[perLane];
    float max = -INFINITY;
#pragma unroll
    for (int i = 0; i < perLane; i++) {
      const int split = i * 32 + lane;
      lse[i] = split < piece.splits ? __ldcg(params.partialLse + partialRow(split, row)) : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < perLane; i++) max = fmaxf(max, lse[i]);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(~0u, max, step));
    float total = 0;
#pragma unroll
    for (int i = 0; i < perLane; i++) total += lse[i] = weightOf(lse[i], max);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
    const float norm = total > 0 ? 1 / total : 0.0f;
#pragma unroll
    for (int i = 0; i < perLane; i++) {
      if (i * 32 + lane < piece.splits) weightsOf(row)[i * 32 + lane] = lse[i] * norm;
    }
    if (lane == 0) writeLse(row, max, total);
  }

  static __device__ __forceinline__ float weightOf(float lse, float max) {
    return lse == -INFINITY ? 0.0f : ptx::exp2Fast(lse - max);
  }

  /** CTAs that share a row write the same value. */
  __device__ __forceinline__ void writeLse(int row, float max, float total) const {
    params.lse[params.lseOffset(piece.request, kvHead, rowBegin + row)] =
        total > 0 ? (max + log2f(total)) * ln2 : INFINITY;
  }

  static __device__ __forceinline__ void add(float4& sum, float weight, const float4& part) {
    sum.x += weight * part.x;
    sum.y += weight * part.y;
    sum.z += weight * part.z;
    sum.w += weight * part.w;
  }

  __device__ __forceinline__ void write(const Place& place, const float4& sum) const {
    T* out = params.out + params.outOffset(piece.request, kvHead, rowBegin + place.row) + place.column;
    *reinterpret_cast<uint2*>(out) = make_uint2(ptx::pack<T>(sum.x, sum.y), ptx::pack<T>(sum.z, sum.w));
  }
};

}  // namespace polymla
