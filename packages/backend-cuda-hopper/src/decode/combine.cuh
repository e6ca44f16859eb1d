#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "arrival.cuh"
#include "params.h"
#include "pieces.cuh"
#include "row-places.cuh"

namespace polymla {

/**
 * Merges the splits of one request, each of the request's CTAs its share, once all of them have written theirs.
 *
 * A split's part is rounded to T, in units of 8 rows × 32 dims as the threads hold them that multiply values: of row lane / 4 two dims
 * in each of four blocks of 8. Shares are runs of units. A CTA's share of all splits is at most as large as one split
 * and a unit per split: it is copied into shared memory as a whole, all of it in flight at once, behind the few lse that it
 * takes. A lane reads what it has copied itself. Sums run in a fixed order.
 */
template <class T, int Rows>
struct Combine {
  static constexpr int warps = 8;
  static constexpr int threads = 32 * warps;
  static constexpr int laneValues = 16 / sizeof(T);
  static constexpr int unitRows = 8;
  static constexpr int unitDims = 32;
  static constexpr int unitValues = unitRows * unitDims;
  /** Of the same rows. */
  static constexpr int rowUnits = valueDim / unitDims;
  static constexpr int maxSplits = 160;

  struct Shared {
    /** Of a warp: its units and splits of a request make at most 32 pairs, whatever the number of splits. */
    uint4 parts[warps][32][32];
    /** [row of this CTA's share][split], an odd number of floats a row: 8 rows are read at once, each in a bank of its own. */
    float weights[2 * unitRows * (maxSplits + 1)];
    float sums[warps][laneValues][32];
  };

  const DecodeParams<T>& params;
  const Piece& piece;
  const RowPlaces* places;  ///< of the row block's rows
  int kvHead;
  int rowBegin;  ///< of this CTA's row block

  /** lse of a request's splits in scratch, those of a row side by side: they are read together. */
  static __device__ __forceinline__ float* lseOf(const DecodeParams<T>& params, const Piece& piece, int kvHead, int row) {
    const int64_t rows = params.rows();
    return params.partialLse + piece.firstSplit * params.headsKv * rows + (kvHead * rows + row) * piece.splits;
  }

  /** Where a unit of a split is, of a row block and KV head. */
  static __device__ __forceinline__ T* unitOf(const DecodeParams<T>& params, int split, int kvHead, int rowBlock, int unit) {
    const int64_t part = (static_cast<int64_t>(split) * params.headsKv + kvHead) * gridDim.y + rowBlock;
    return params.partialOut + part * (Rows * valueDim) + unit * unitValues + threadIdx.x % 32 * laneValues;
  }

  /**
   * By 8 warps, for which `barrier` is. A warp takes every 8th unit; where there are fewer units than warps, 2, 4 or 8 warps
   * share one and take every so-many-th split of it.
   *
   * @param rowCount rows of the row block, at most Rows
   * @param arrival of the request's splits
   */
  template <class Barrier>
  __device__ __forceinline__ void run(Shared& shared, int rowCount, const Arrival& arrival, Barrier&& barrier) const {
    const int units = (rowCount + unitRows - 1) / unitRows * rowUnits;
    const int begin = units * piece.split / piece.splits;
    const int share = units * (piece.split + 1) / piece.splits - begin;
    const int firstRow = begin / rowUnits * unitRows;
    const int pitch = piece.splits | 1;
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int columnsLog2 = (share > 1) + (share > 2) + (share > 4);
    const int column = warp & ((1 << columnsLog2) - 1);
    const int way = warp >> columnsLog2;
    const int ways = warps >> columnsLog2;

    uint4* mine = &shared.parts[warp][0][lane];
    const int64_t stride = static_cast<int64_t>(params.headsKv) * gridDim.y * (Rows * valueDim);
    const T* source = unitOf(params, piece.firstSplit + way, kvHead, rowBegin / Rows, begin + column);
    const int endRow = min((begin + share + rowUnits - 1) / rowUnits * unitRows, rowCount);
    RowWeights ofRow = weightsOf(firstRow, endRow);
    T* const out = params.out + params.firstRow(piece.request, kvHead) * valueDim + lane % 4 * laneValues;
    // Computed here: there is time while the others finish.
    asm volatile("" : "+l"(source), "+l"(ofRow.source));
    if (threadIdx.x == 0) arrival.wait();
    barrier();

    loadLse(ofRow);
#pragma unroll 1
    for (int unit = column; unit < share; unit += warps, source += warps * unitValues) {
      const T* next = source;
#pragma unroll 4
      for (int split = way; split < piece.splits; split += ways, next += ways * stride, mine += 32) {
        ptx::copyAsync16(mine, next, true);
      }
    }
    weigh(shared.weights, firstRow, pitch, ofRow);
#pragma unroll 1
    for (int row = firstRow + threads / ofRow.lanes; row < endRow; row += threads / ofRow.lanes) {
      ofRow = weightsOf(row, endRow);
      loadLse(ofRow);
      weigh(shared.weights, firstRow, pitch, ofRow);
    }
    ptx::waitCopies();
    barrier();

    mine = &shared.parts[warp][0][lane];
#pragma unroll 1
    for (int unit = column; unit < share || ways > 1; unit += warps) {
      float sum[laneValues] = {};
      const int row = (begin + unit) / rowUnits * unitRows + lane / 4;
      const float* weight = shared.weights + (row - firstRow) * pitch + way;
#pragma unroll 4
      for (int split = way; unit < share && split < piece.splits; split += ways, weight += ways, mine += 32) {
        const uint32_t pairs[4] = {mine->x, mine->y, mine->z, mine->w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float2 both = ptx::unpack<T>(pairs[i]);
          sum[2 * i] += *weight * both.x;
          sum[2 * i + 1] += *weight * both.y;
        }
      }
      if (ways > 1) {
#pragma unroll
        for (int i = 0; i < laneValues; i++) shared.sums[warp][i][lane] = sum[i];
        barrier();
        if (way > 0 || unit >= share) break;
#pragma unroll 1
        for (int other = 1; other < ways; other++) {
#pragma unroll
          for (int i = 0; i < laneValues; i++) sum[i] += shared.sums[warp + (other << columnsLog2)][i][lane];
        }
      }
      uint32_t pairs[4];
#pragma unroll
      for (int i = 0; i < 4; i++) pairs[i] = ptx::pack<T>(sum[2 * i], sum[2 * i + 1]);
      // Then a lane has all dims of its own block.
      ptx::transposeQuad(pairs);
      if (row < rowCount) {
        *reinterpret_cast<uint4*>(out + static_cast<int64_t>(places[row].out) * valueDim + (begin + unit) % rowUnits * unitDims) =
            make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
      }
      if (ways > 1) break;
    }
    // The next request's parts will lie in the same place.
    barrier();
  }

 private:
  /** Of up to 32 splits, lanes of a warp take several rows; of more, a lane has splits lane, lane + 32, … of the warp's row. */
  struct RowWeights {
    static constexpr int perLane = maxSplits / 32;
    float values[perLane];
    const float* source;
    int row;  ///< of the row block; −1: none
    int split;
    int lanes;  ///< of a row
  };

  /** Of as many rows from `firstRow` on as there are lanes for. */
  __device__ __forceinline__ RowWeights weightsOf(int firstRow, int endRow) const {
    const int lanesLog2 = min(5, 32 - __clz(piece.splits - 1));
    RowWeights lse;
    lse.lanes = 1 << lanesLog2;
    lse.split = threadIdx.x & (lse.lanes - 1);
    lse.row = firstRow + (threadIdx.x >> lanesLog2);
    if (lse.row >= endRow) lse.row = -1;
    lse.source = lseOf(params, piece, kvHead, rowBegin + max(lse.row, 0)) + lse.split;
    return lse;
  }

  __device__ __forceinline__ void loadLse(RowWeights& lse) const {
#pragma unroll
    for (int i = 0; i < RowWeights::perLane; i++) {
      lse.values[i] = lse.row >= 0 && lse.split + i * 32 < piece.splits ? __ldcg(lse.source + i * 32) : -INFINITY;
    }
  }

  /** Normalised weights of all splits; writes lse. CTAs that share a row write the same value. */
  __device__ __forceinline__ void weigh(float* weights, int firstRow, int pitch, RowWeights lse) const {
    constexpr float ln2 = 0.693147180559945309f;
    float max = -INFINITY;
#pragma unroll
    for (const float value : lse.values) max = fmaxf(max, value);
    for (int step = lse.lanes / 2; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(~0u, max, step));
    const float reference = max == -INFINITY ? 0.0f : max;
    float total = 0;
#pragma unroll
    for (float& value : lse.values) total += value = ptx::exp2Fast(value - reference);
    for (int step = lse.lanes / 2; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
    if (lse.row < 0) return;
    const float norm = total > 0 ? __fdividef(1, total) : 0.0f;
#pragma unroll
    for (int i = 0; i < RowWeights::perLane; i++) {
      const int split = lse.split + i * 32;
      if (split < piece.splits) weights[(lse.row - firstRow) * pitch + split] = lse.values[i] * norm;
    }
    if (lse.split == 0) {
      params.lse[params.firstLse(piece.request, kvHead) + places[lse.row].lse] =
          total > 0 ? (max + ptx::log2Fast(total)) * ln2 : INFINITY;
    }
  }
};

}  // namespace polymla
