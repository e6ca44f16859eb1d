#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "arrival.cuh"
#include "params.h"
#include "pieces.cuh"
#include "row-block.h"
#include "row-places.cuh"

namespace polymla {

/**
 * Results of the few-rows kernel: outputs, partial results of splits, and their merge.
 *
 * A split's normalised values lie in scratch rounded to T (the traffic is what a merge costs) and in the order in which
 * the consumer threads hold them, 16 bytes a thread and whole lines a warp: units of 8 rows × 32 dims. Each CTA of a
 * request merges a run of units, once all of them have written theirs, with all of its loads in flight together. Sums run
 * in a fixed order.
 */
template <class T, int N>
struct FewRowsMerge {
  static constexpr int threads = 256;
  static constexpr int warps = threads / 32;
  /** The two warpgroups have half of the rows each, all value columns; else half of the columns, all rows. */
  static constexpr bool halves = N == 64;
  static constexpr int groupTiles = valueDim / tileColumns / (halves ? 1 : 2);
  static constexpr int rowBlocks = N / 8 / (halves ? 2 : 1);  ///< of 8 rows, of a warpgroup
  static constexpr int blockUnits = groupTiles / 2 * warps;
  static constexpr int blockRows = halves ? 16 : 8;
  static constexpr int units = rowBlocks * blockUnits;
  static constexpr int maxSplits = mostFewRowsPartitions;

  /** Per warp: its units and splits of a request make at most 20 pairs, 32 at N = 64, whatever the number of splits. */
  using Parts = uint4[warps][halves ? 32 : 24][32];
  static constexpr int splitPitch = maxSplits + 4;
  struct Weights {
    /** By row: written by lanes of as many splits, read by those of as many rows, each in a bank of its own. */
    float ofSplits[N][splitPitch];
    float4 sums[2][warps][32];
  };

  const DecodeParams<T>& params;
  const RowPlaces* places;  ///< of the row block's rows
  int rowCount;             ///< of this row block; may exceed N

  /** Row of the row block that a lane has in a unit. */
  static __device__ __forceinline__ int rowOf(int unit, int lane) {
    return unit / blockUnits * 8 + lane / 4 + (halves ? unit % warps / 4 * (N / 2) : 0);
  }
  /** The same in the order in which units have rows, that of lse in scratch and of weights. */
  static __device__ __forceinline__ int placeOf(int unit, int lane) {
    return unit / blockUnits * blockRows + lane / 4 + (halves ? unit % warps / 4 * 8 : 0);
  }
  static __device__ __forceinline__ int rowAt(int place) {
    return halves ? place / 16 * 8 + place % 8 + place / 8 % 2 * (N / 2) : place;
  }

  /** Place of a split's part, in parts of N rows. */
  __device__ __forceinline__ int64_t partOf(int slot) const {
    return (static_cast<int64_t>(slot) * params.headsKv + blockIdx.z) * gridDim.y + blockIdx.y;
  }
  __device__ __forceinline__ uint4* valuesOf(int slot) const {
    return reinterpret_cast<uint4*>(params.partialOut) + partOf(slot) * (units * 32);
  }

  /** lse of a request's splits in scratch, those of a row side by side: they are read in the same way. */
  __device__ __forceinline__ float* lseOf(const Piece& piece, int place) const {
    const int64_t row = (static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * N + place;
    return params.partialLse + static_cast<int64_t>(piece.firstSplit) * params.headsKv * gridDim.y * N + row * piece.splits;
  }

  /** Once per CTA: more arrivals would wait for each other. Those CTAs wait that have a share of the merge. */
  __device__ __forceinline__ Arrival arrivalOf(const Piece& piece) const {
    const int64_t index = (static_cast<int64_t>(piece.request) * params.headsKv + blockIdx.z) * gridDim.y + blockIdx.y;
    return {params.arrivals + index, static_cast<uint32_t>(piece.splits), static_cast<uint32_t>(min(piece.splits, units << groupsLog2Of(piece)))};
  }

  /** lse of a row from its base-2 maximum and its sum; +∞ for a row that saw nothing. */
  __device__ __forceinline__ void writeLse(const Piece& piece, int row, float max, float sum) const {
    constexpr float ln2 = 0.693147180559945309f;
    if (row >= rowCount) return;
    params.lse[params.firstLse(piece.request, blockIdx.z) + places[row].lse] =
        sum > 0 ? (max + ptx::log2Fast(sum)) * ln2 : INFINITY;
  }

  /** Where a lane writes what it has of a unit. */
  struct Target {
    T* at;      ///< null: there is no such row
    int place;  ///< of its row
  };

  /**
   * @param out of the request's KV head
   * @param unit (row block · groupTiles / 2 + pair of tiles) · warps + warp
   */
  __device__ __forceinline__ Target targetOf(T* out, int unit, int lane) const {
    const int warp = unit % warps;
    const int row = rowOf(unit, lane);
    const int tile = (halves ? 0 : warp / 4 * groupTiles) + unit / warps % (groupTiles / 2) * 2;
    const int dim = tile * tileColumns + warp % 4 * 16 + 2 * (lane % 4);
    const bool exists = unit < units && row < rowCount;
    return {exists ? out + static_cast<int64_t>(places[row].out) * valueDim + dim : nullptr, unit < units ? placeOf(unit, lane) : 0};
  }

  /** In x and y dims 2 (lane % 4) … and 8 further on of the warp's 16 in one tile, in z and w of those in the next. */
  static __device__ __forceinline__ void write(const Target& to, const uint4& values) {
    if (to.at == nullptr) return;
    *reinterpret_cast<uint32_t*>(to.at) = values.x;
    *reinterpret_cast<uint32_t*>(to.at + 8) = values.y;
    *reinterpret_cast<uint32_t*>(to.at + tileColumns) = values.z;
    *reinterpret_cast<uint32_t*>(to.at + tileColumns + 8) = values.w;
  }

  /**
   * Writes a piece's results, to the output or as a split, by all consumers: accumulators of Oᵀ, times the factors of this
   * thread's two rows in each block.
   *
   * @param barrier of all consumers
   */
  template <class Barrier>
  __device__ __forceinline__ void store(const Piece& piece, const float (&o)[groupTiles][rowBlocks * 4],
                                        const float2 (&factors)[rowBlocks], Barrier&& barrier) const {
    uint4* part = valuesOf(piece.slot()) + threadIdx.x;
    T* out = params.out + params.firstRow(piece.request, blockIdx.z) * valueDim;
#pragma unroll
    for (int block = 0; block < rowBlocks; block++) {
      const float2 factor = factors[block];
#pragma unroll
      for (int pair = 0; pair < groupTiles / 2; pair++) {
        uint32_t values[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float* d = o[pair * 2 + i / 2] + block * 4 + i % 2 * 2;
          values[i] = ptx::transpose8x8(ptx::pack<T>(d[0] * factor.x, d[1] * factor.y));
        }
        const uint4 unit = make_uint4(values[0], values[1], values[2], values[3]);
        const int index = block * groupTiles / 2 + pair;
        if (piece.isSplit) {
          part[index * threads] = unit;
        } else {
          write(targetOf(out, index * warps + threadIdx.x / 32, threadIdx.x % 32), unit);
        }
      }
    }
    if (!piece.isSplit) return;
    barrier();
    if (threadIdx.x == 0) arrivalOf(piece).arrive();
  }

  /**
   * This CTA's share of the merge, by all consumers, for which `barrier` is. A warp takes every 8th unit; where there
   * are fewer units than warps, 2, 4 or 8 warps share one and take every so-many-th split of it. Where there are fewer units than
   * CTAs, they take quarters of units, each a line of memory, and 8 lanes each every fourth split of those.
   */
  template <class Barrier>
  __device__ __forceinline__ void merge(const Piece& piece, Parts& parts, Weights& weights, Barrier&& barrier) const {
    // Items are units, or quarters of them, of which a group of lanes has one.
    const int groupsLog2 = groupsLog2Of(piece);
    const int begin = (units << groupsLog2) * piece.split / piece.splits;
    const int share = (units << groupsLog2) * (piece.split + 1) / piece.splits - begin;
    const int warp = threadIdx.x / 32;
    const int columnsLog2 = (share > 1) + (share > 2) + (share > 4);
    const int column = warp & ((1 << columnsLog2) - 1);
    const int groupLanes = 32 >> groupsLog2;
    const int way = (warp >> columnsLog2 << groupsLog2) + threadIdx.x % 32 / groupLanes;
    const int ways = warps >> columnsLog2 << groupsLog2;
    // In the unit. A warp has several items only where they are units.
    const int lane = ((begin + column) << (5 - groupsLog2)) % 32 + threadIdx.x % groupLanes;
    int place = (begin >> groupsLog2) / blockUnits * blockRows + warp;
    const int64_t stride = static_cast<int64_t>(params.headsKv) * gridDim.y;
    const float* lse = lseOf(piece, place) + threadIdx.x % 32;
    const uint4* source = valuesOf(piece.firstSplit) + way * stride * (units * 32) + ((begin + column) >> groupsLog2) * 32 + lane;
    T* out = params.out + params.firstRow(piece.request, blockIdx.z) * valueDim;
    Target to = targetOf(out, (begin + column) >> groupsLog2, lane);
    int weight = to.place * splitPitch + way;
    // Computed here: there is time while the others finish.
    asm volatile("" : "+l"(lse), "+l"(source), "+l"(to.at), "+r"(weight));
    if (share == 0) return;
    if (threadIdx.x == 0) arrivalOf(piece).wait();
    barrier();

    // Ahead of the parts, behind which these few would wait.
    const RowWeights ofRow = loadLse(piece, lse);
    // A lane will read what it has copied itself.
    uint4* mine = &parts[warp][0][threadIdx.x % 32];
    const int64_t step = ways * stride * (units * 32);
#pragma unroll 1
    for (int item = column; item < share; item += warps, source += warps * 32) {
      const uint4* next = source;
#pragma unroll 4
      for (int split = way; split < piece.splits; split += ways, next += step, mine += 32) {
        ptx::copyAsync16(mine, next, true);
      }
    }
    weigh(piece, weights, place, ofRow);
#pragma unroll 1
    while (((place += warps) / blockRows * blockUnits << groupsLog2) < begin + share) {
      weigh(piece, weights, place, loadLse(piece, lse += warps * piece.splits));
    }
    ptx::waitCopies();
    barrier();

    mine = &parts[warp][0][threadIdx.x % 32];
#pragma unroll 1
    for (int item = column; item < share || ways > 1; item += warps) {
      float sum[8] = {};
#pragma unroll 4
      for (int split = way; item < share && split < piece.splits; split += ways, weight += ways, mine += 32) {
        const float factor = weights.ofSplits[0][weight];
        const uint32_t pairs[4] = {mine->x, mine->y, mine->z, mine->w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float2 both = ptx::unpack<T>(pairs[i]);
          sum[2 * i] += factor * both.x;
          sum[2 * i + 1] += factor * both.y;
        }
      }
      if (groupsLog2 > 0) {
#pragma unroll
        for (float& value : sum) value += __shfl_xor_sync(~0u, value, 8);
#pragma unroll
        for (float& value : sum) value += __shfl_xor_sync(~0u, value, 16);
      }
      if (ways > 1) {
        weights.sums[0][warp][lane] = make_float4(sum[0], sum[1], sum[2], sum[3]);
        weights.sums[1][warp][lane] = make_float4(sum[4], sum[5], sum[6], sum[7]);
        barrier();
        if (way > 0 || item >= share) break;
#pragma unroll
        for (int other = 1; other < warps; other++) {
#pragma unroll
          for (int half = 0; half < 2; half++) {
            float4 value = make_float4(0, 0, 0, 0);
            if (other < warps >> columnsLog2) value = weights.sums[half][warp + (other << columnsLog2)][lane];
            sum[4 * half] += value.x;
            sum[4 * half + 1] += value.y;
            sum[4 * half + 2] += value.z;
            sum[4 * half + 3] += value.w;
          }
        }
      }
      write(to, make_uint4(ptx::pack<T>(sum[0], sum[1]), ptx::pack<T>(sum[2], sum[3]), ptx::pack<T>(sum[4], sum[5]),
                           ptx::pack<T>(sum[6], sum[7])));
      if (ways > 1) break;
      to = targetOf(out, begin + item + warps, lane);
      weight = to.place * splitPitch + way;
    }
  }

 private:
  /** Of the groups of lanes in a warp. At N = 64 there are as many units as CTAs, and quarters have nothing to gain. */
  static __device__ __forceinline__ int groupsLog2Of(const Piece& piece) { return !halves && piece.splits > units ? 2 : 0; }

  /** What a lane of a warp has of a row: values of splits lane, lane + 32, … */
  struct RowWeights {
    float values[maxSplits / 32];
  };

  /** Base-2 lse of all splits. `source`: of split `lane`. */
  __device__ __forceinline__ RowWeights loadLse(const Piece& piece, const float* source) const {
    RowWeights lse;
#pragma unroll
    for (int i = 0; i < maxSplits / 32; i++) {
      const int split = i * 32 + threadIdx.x % 32;
      lse.values[i] = split < piece.splits ? __ldcg(source + i * 32) : -INFINITY;
    }
    return lse;
  }

  /** Normalised weights of all splits for a row, by a warp. CTAs that share a row write the same lse. */
  __device__ __forceinline__ void weigh(const Piece& piece, Weights& weights, int place, RowWeights lse) const {
    const int lane = threadIdx.x % 32;
    float max = -INFINITY;
    for (const float value : lse.values) max = fmaxf(max, value);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(~0u, max, step));
    const float reference = max == -INFINITY ? 0.0f : max;
    float total = 0;
    for (float& value : lse.values) total += value = ptx::exp2Fast(value - reference);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
    const float norm = total > 0 ? __fdividef(1, total) : 0.0f;
#pragma unroll
    for (int i = 0; i < maxSplits / 32; i++) {
      if (i * 32 + lane < piece.splits) weights.ofSplits[place][i * 32 + lane] = lse.values[i] * norm;
    }
    if (lane == 0) writeLse(piece, rowAt(place), max, total);
  }
};

}  // namespace polymla
