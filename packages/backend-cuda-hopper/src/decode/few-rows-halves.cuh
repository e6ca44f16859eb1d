#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/dependent-launch.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix-transposed.cuh"
#include "../ptx/matrix.cuh"
#include "../ptx/wgmma.cuh"
#include "few-rows-consume.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/**
 * 64 rows per CTA: each warpgroup has 32 of them, with all columns of scores and values, so that one's softmax overlaps with
 * the other's products. A page costs the tensor cores 3,280 cycles.
 *
 * Scores stay in the registers of their product, whose columns are those of O: a row's factors need no exchange. Weights
 * are taken from a reference that is raised only where a score exceeds it by `slack`; that no score does so is found out by
 * the barrier that must be there anyway, so that the usual page has one.
 */
template <class T, int HeadDim>
struct FewRows<T, 64, HeadDim> : FewRowsSizes<HeadDim> {
  using Sizes = FewRowsSizes<HeadDim>;
  static constexpr int N = 64;
  static constexpr int groupRows = N / 2;
  static constexpr int groupTiles = valueDim / tileColumns;
  /** Each group has its rows of all tiles. */
  static constexpr int queryTileBytes = groupRows * 128;
  static constexpr int groupQueryBytes = Sizes::tiles * queryTileBytes;
  static constexpr int groupWarps = 4;
  /** A whole third warpgroup, of which one warp works: only warpgroups can pass registers on. */
  static constexpr int ctaThreads = 3 * 128;
  static constexpr int consumerRegisters = 224;
  static constexpr int producerRegisters = 56;
  using typename Sizes::Ring;
  using Merge = FewRowsMerge<T, N>;

  struct Shared : FewRowsPages<Ring, Merge, 2 * groupQueryBytes> {
    alignas(1024) uint8_t p[2][groupRows * pageTokens * 2];
    float ofWarps[2][groupWarps][groupRows];  ///< maxima, later sums
    RowPlaces places[N];
    typename Ring::Barriers barriers;
    ptx::MBarrier weightsRead[2];  ///< by all warps of a group
    ptx::MBarrier queryFull[2];    ///< a piece's queries of a group, where they come in boxes
  };

  static __device__ __forceinline__ void init(Shared& shared) {
    Ring::init(shared.barriers, Sizes::consumerWarps);
    for (auto& barrier : shared.weightsRead) ptx::init(barrier, groupWarps);
    for (auto& barrier : shared.queryFull) ptx::init(barrier, 1);
  }
};

template <class T, int HeadDim>
struct FewRowsConsume<T, 64, HeadDim> : FewRows<T, 64, HeadDim> {
  using Base = FewRows<T, 64, HeadDim>;
  using typename Base::Cursor;
  using typename Base::Merge;
  using typename Base::Ring;
  using typename Base::Shared;
  using Base::groupQueryBytes;
  using Base::groupRows;
  using Base::groupThreads;
  using Base::groupTiles;
  using Base::groupWarps;
  using Base::queryTileBytes;

  /** Rows of which a thread has scores and O: row i of its group is 8 (i / 2) + 2 (lane % 4) + i % 2. */
  static constexpr int threadRows = groupRows / 4;
  static constexpr int values = groupRows / 2;
  /** What accumulator i belongs to. */
  static constexpr __device__ int rowOf(int i) { return i / 4 * 2 + i % 2; }
  static __device__ __forceinline__ int groupRow(int row) { return row / 2 * 8 + threadIdx.x % 4 * 2 + row % 2; }
  static __device__ __forceinline__ int tokenOf(int i) {
    return threadIdx.x % groupThreads / 32 * 16 + threadIdx.x % 32 / 4 + i / 2 % 2 * 8;
  }

  /** In powers of two: weights are at most 2^8, which T takes without loss. */
  static constexpr float slack = 8;
  static constexpr float lowest = -1e30f;  ///< finite, so that it can be subtracted from −∞

  struct Softmax {
    float reference[threadRows];
    float sum[threadRows];  ///< this thread's part
  };

  static __device__ __forceinline__ void syncGroup(int group) { ptx::syncThreads<groupThreads>(3 + group); }

  /** Starts copying 4 lanes a row, each every 4th chunk of 16 bytes; a group's threads its own rows. */
  static __device__ __forceinline__ void startLoadingQuery(Shared& shared, const T* source, bool present) {
    const int row = threadIdx.x / 4;
    const int lane = threadIdx.x % 4;
    uint8_t* to = shared.q + row / groupRows * groupQueryBytes + row % groupRows * 128;
    source += lane * 8;
#pragma unroll
    for (int i = 0; i < HeadDim / 32; i++) {
      ptx::copyAsync16(to + i / 2 * queryTileBytes + ((lane + i % 2 * 4) ^ (row & 7)) * 16, source + i * 32, present);
    }
  }

  /** Sᵀ of the group's rows. */
  static __device__ __forceinline__ void multiplyScores(Shared& shared, const Cursor& page, int group, float (&s)[values]) {
#pragma unroll
    for (float& score : s) score = 0;
    const uint64_t k = Ring::operand(shared.ring, page, 0);
    const uint64_t q = ptx::swizzledOperand(ptx::sharedAddress(shared.q + group * groupQueryBytes));
    Ring::waitFull(shared.barriers, page);
    ptx::pinAccumulators(s);
    ptx::mmaFence();
#pragma unroll
    for (int step = 0; step < Base::tiles * 4; step++) {
      const uint32_t bytes = step % 4 * ptx::stepBytes;
      ptx::mma<T, groupRows, false, false>(s, ptx::advance(k, step / 4 * Ring::tileGroupBytes + bytes),
                                           ptx::advance(q, step / 4 * queryTileBytes + bytes));
    }
    ptx::mmaCommit();
    ptx::mmaWait<0>();
    ptx::pinAccumulators(s);
  }

  /** Makes −∞ of what a row does not see, in a page where that can be. */
  static __device__ __forceinline__ void hide(const DecodeParams<T>& params, Shared& shared, const Piece& piece, int group,
                                              int begin, uint32_t present, float (&s)[values]) {
    const int firstBit = begin - piece.length + params.queryTokens;
#pragma unroll
    for (int row = 0; row < threadRows; row++) {
      const int token = shared.places[group * groupRows + groupRow(row)].token;
      const int visible = params.visibleKeys(piece.length, token) - begin;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int i = row / 2 * 4 + row % 2 + half * 2;
        const int key = tokenOf(i);
        bool seen = key < visible && (present >> key / 16 & 1) != 0;
        if (params.treeMask != nullptr && seen && firstBit + key >= 0) {
          const int bit = firstBit + key;
          seen = (params.treeRow(piece.request, token)[bit / 32] >> bit % 32 & 1) != 0;
        }
        if (!seen) s[i] = -INFINITY;
      }
    }
  }

  /** Weights by the references, into shared.p; `sum` gets the sums with them. */
  static __device__ __forceinline__ void publish(Shared& shared, int group, const Softmax& state, const float (&x)[values],
                                                 float (&sum)[threadRows]) {
    uint32_t pairs[values / 2];
#pragma unroll
    for (int row = 0; row < threadRows; row++) sum[row] = state.sum[row];
#pragma unroll
    for (int i = 0; i < values; i += 2) {
      const float first = ptx::exp2Fast(x[i] - state.reference[rowOf(i)]);
      const float second = ptx::exp2Fast(x[i + 1] - state.reference[rowOf(i + 1)]);
      sum[rowOf(i)] += first;
      sum[rowOf(i + 1)] += second;
      pairs[i / 2] = ptx::pack<T>(first, second);
    }
    // Matrix m of four: rows 8 (m / 2) …, tokens 8 (m % 2) … of the warp's 16; a lane has the address of one row.
    const int lane = threadIdx.x % 32;
    const int chunk = threadIdx.x % groupThreads / 32 * 2 + lane / 8 % 2;
    uint8_t* row = shared.p[group] + (lane / 16 * 8 + lane % 8) * 128 + (chunk ^ lane % 8) * 16;
    ptx::storeMatricesTransposed(row, pairs);
    ptx::storeMatricesTransposed(row + 16 * 128, pairs + 4);
    ptx::fenceAsyncProxy();
  }

  /** Raises the references of all rows to their greatest score so far, and shrinks what was summed by them. */
  static __device__ __forceinline__ void raise(Shared& shared, int group, Softmax& state, const float (&x)[values],
                                               float (&o)[groupTiles][values]) {
    float max[threadRows];
#pragma unroll
    for (int row = 0; row < threadRows; row++) max[row] = fmaxf(x[row / 2 * 4 + row % 2], x[row / 2 * 4 + row % 2 + 2]);
    reduce(shared, group, max, [](float a, float b) { return fmaxf(a, b); });
    float shrink[threadRows];
#pragma unroll
    for (int row = 0; row < threadRows; row++) {
      max[row] = fmaxf(max[row], state.reference[row]);
      shrink[row] = ptx::exp2Fast(state.reference[row] - max[row]);
      state.reference[row] = max[row];
      state.sum[row] *= shrink[row];
    }
#pragma unroll
    for (int tile = 0; tile < groupTiles; tile++) {
#pragma unroll
      for (int i = 0; i < values; i++) o[tile][i] *= shrink[rowOf(i)];
    }
  }

  /** Combines values of rows over the group's threads, by all of them; ends behind a barrier of the group. */
  template <class Combine>
  static __device__ __forceinline__ void reduce(Shared& shared, int group, float (&ofRows)[threadRows], Combine&& combine) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x % groupThreads / 32;
#pragma unroll
    for (float& value : ofRows) {
#pragma unroll
      for (int step = 4; step < 32; step *= 2) value = combine(value, __shfl_xor_sync(~0u, value, step));
    }
    if (lane < 4) {
#pragma unroll
      for (int row = 0; row < threadRows; row++) shared.ofWarps[group][warp][groupRow(row)] = ofRows[row];
    }
    syncGroup(group);
#pragma unroll
    for (int row = 0; row < threadRows; row++) {
      float value = shared.ofWarps[group][0][groupRow(row)];
#pragma unroll
      for (int other = 1; other < groupWarps; other++) value = combine(value, shared.ofWarps[group][other][groupRow(row)]);
      ofRows[row] = value;
    }
  }

  /** O := O + Vᵀ·Pᵀ of the group's rows. */
  static __device__ __forceinline__ void multiplyValues(Shared& shared, const Cursor& page, int group,
                                                        float (&o)[groupTiles][values]) {
    const uint64_t p = ptx::swizzledOperand(ptx::sharedAddress(shared.p[group]));
    for (auto& tile : o) ptx::pinAccumulators(tile);
    ptx::mmaFence();
#pragma unroll
    for (int tile = 0; tile < groupTiles; tile++) {
      const uint64_t v = Ring::operand(shared.ring, page, tile);
#pragma unroll
      for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
        ptx::mma<T, groupRows, true, false>(o[tile], ptx::advance(v, step * Ring::tokenStepBytes),
                                            ptx::advance(p, step * ptx::stepBytes));
      }
    }
    ptx::mmaCommit();
    ptx::mmaWait<0>();
    for (auto& tile : o) ptx::pinAccumulators(tile);
  }

  /** lse of the group's rows, and 1 / sum of this thread's, 0 for a row that saw nothing. */
  static __device__ __forceinline__ void finishSoftmax(const DecodeParams<T>& params, Shared& shared, const Merge& merge, int group,
                                                       Softmax& state, const Piece& piece, float2 (&factors)[Merge::rowBlocks]) {
    reduce(shared, group, state.sum, [](float a, float b) { return a + b; });
    // In the order of the merge: blocks of 8 rows, the groups in turn.
    float* const splitLse = merge.lseOf(piece, group * 8 + threadIdx.x % 4 * 2) + piece.split;
    const bool writes = threadIdx.x % groupThreads < 4;
#pragma unroll
    for (int row = 0; row < threadRows; row++) {
      const float sum = state.sum[row];
      (row % 2 == 0 ? factors[row / 2].x : factors[row / 2].y) = sum > 0 ? __fdividef(1, sum) : 0.0f;
      if (writes && piece.isSplit) {
        splitLse[(row / 2 * 16 + row % 2) * piece.splits] = sum > 0 ? state.reference[row] + ptx::log2Fast(sum) : -INFINITY;
      } else if (writes) {
        merge.writeLse(piece, group * groupRows + groupRow(row), state.reference[row], sum);
      }
    }
  }

  static __device__ void consume(const DecodeParams<T>& params, Shared& shared) {
    Base::initBarriers([&] { Base::init(shared); });
    if (threadIdx.x == 0 && params.hasQueryMap) ptx::prefetchTensorMap(&params.queries->map);
    // The shuffle tells the compiler that all lanes agree.
    const int group = __shfl_sync(~0u, threadIdx.x / groupThreads, 0);
    const Merge merge{params, shared.places, params.rows() - static_cast<int>(blockIdx.y) * Base::N};
    const int queryRow = threadIdx.x / 4;
    const bool present = queryRow < merge.rowCount;
    const RowPlaces place = RowPlaces::of(params, blockIdx.y * Base::N + (present ? queryRow : 0));
    if (threadIdx.x % 4 == 0) shared.places[queryRow] = place;
    ptx::awaitEarlierKernels();
    const ScheduleRow row = params.schedule[blockIdx.x];
    Base::syncConsumers();
    if (row.beginRequest > row.endRequest) return;
    if (threadIdx.x / 32 == Base::consumerWarps - 1) Base::prefetchTranslations(params);
    const auto startQuery = [&](int request) {
      if (!params.hasQueryMap) {
        startLoadingQuery(shared, params.firstQuery(request, blockIdx.z) + place.query(params), present);
      } else if (threadIdx.x % groupThreads == 0) {
        const QueryPlace first = QueryPlace::of(params, blockIdx.y * Base::N + group * groupRows, blockIdx.z);
        ptx::arriveExpect(shared.queryFull[group], groupQueryBytes);
        loadQueryBox(params, shared.q + group * groupQueryBytes, shared.queryFull[group], first, request, 0);
      }
    };
    Cursor page;
    Piece last;
    uint32_t turn = 0;  ///< parity of weightsRead
    uint32_t queryTurn = 0;  ///< of queryFull

    startQuery(row.beginRequest);
    // Not forEachPiece, which has the next piece in registers that there are not.
#pragma unroll 1
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const Piece piece = pieceOf(params, row, request);
      const bool goesOn = piece.request < row.endRequest;
      const int plain = params.treeMask != nullptr ? piece.length - params.queryTokens : params.visibleKeys(piece.length, 0);
      Softmax state;
#pragma unroll
      for (int i = 0; i < threadRows; i++) {
        state.reference[i] = lowest;
        state.sum[i] = 0;
      }
      float o[groupTiles][values] = {};
      if (params.hasQueryMap) {
        ptx::wait(shared.queryFull[group], queryTurn);
        queryTurn ^= 1;
      } else {
        ptx::waitCopies();
        ptx::fenceAsyncProxy();
      }
      syncGroup(group);
      for (int index = piece.beginPage; index < piece.endPage; index++) {
        float s[values];
        multiplyScores(shared, page, group, s);
        // One lane reads, the one that gives the slot back.
        const uint32_t existing = __shfl_sync(~0u, threadIdx.x % 32 == 0 ? shared.barriers.present[page.slot] : 0, 0);
        const int begin = index * pageTokens;
        if (begin + pageTokens > plain || existing != 15) hide(params, shared, piece, group, begin, existing, s);
        if (piece.length - begin < pageTokens) {
          // Each group for itself.
          Ring::template clearTail<groupTiles, groupThreads>(shared.ring, page, 0, piece.length - begin, threadIdx.x % groupThreads);
        }
        bool exceeds = false;
#pragma unroll
        for (int i = 0; i < values; i++) {
          s[i] *= params.scaleLog2;
          exceeds |= s[i] > state.reference[rowOf(i)] + slack;
        }
        float sum[threadRows];
        ptx::wait(shared.weightsRead[group], turn ^ 1);
        publish(shared, group, state, s, sum);
        if (ptx::syncAny<groupThreads>(3 + group, exceeds)) {
          raise(shared, group, state, s, o);
          publish(shared, group, state, s, sum);
          syncGroup(group);
        }
        // Behind the last scores of this piece, whose values and results hide the wait.
        if (index + 1 == piece.endPage && goesOn) startQuery(piece.request + 1);
#pragma unroll
        for (int row = 0; row < threadRows; row++) state.sum[row] = sum[row];
        multiplyValues(shared, page, group, o);
        // Every lane has read what will be overwritten; one of them says so.
        __syncwarp();
        if (threadIdx.x % 32 == 0) {
          Ring::release(shared.barriers, page);
          ptx::arrive(shared.weightsRead[group]);
        }
        turn ^= 1;
        page.nextPage();
      }
      if (piece.beginPage >= piece.endPage && goesOn) startQuery(piece.request + 1);
      float2 factors[Merge::rowBlocks];
      finishSoftmax(params, shared, merge, group, state, piece, factors);
      merge.store(piece, o, factors, Base::syncConsumers);
      last = piece;
    }
    Base::mergeSplits(params, row, last, merge, shared);
  }
};

}  // namespace polymla
