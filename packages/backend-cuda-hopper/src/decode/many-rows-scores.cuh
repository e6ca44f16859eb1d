#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix-store.cuh"
#include "../ptx/matrix.cuh"
#include "../ptx/wgmma-wide.cuh"
#include "many-rows-shared.cuh"

namespace polymla {

/** Warpgroup 2 of the many-rows kernel: scores and softmax. */
template <class T>
struct ManyRowsScores : ManyRows<T> {
  using Base = ManyRows<T>;
  using Base::boxTiles;
  using Base::groupThreads;
  using Base::groupWarps;
  using Base::memoryTiles;
  using Base::parityOf;
  using Base::queryBoxes;
  using Base::registerTiles;
  using Base::boxBytes;
  using Base::rowBegin;
  using Base::rowsPerCta;
  using Base::scoreTile;
  using Base::states;
  using Base::valueBoxes;
  using typename Base::PageState;
  using typename Base::ScoreCursor;
  using typename Base::Shared;
  using typename Base::ValueCursor;

  static constexpr int tileSteps = tileColumns / ptx::mmaDepth;
  using Scores = float[pageTokens / 2];
  using Queries = uint32_t[registerTiles * tileSteps * 4];

  /** Of the two rows this thread has elements of: 16 warp + lane / 4 and 8 further on. */
  struct Rows {
    int first;
    uint32_t fragment;   ///< where this lane's row of a warp's first 16 × 16 elements lies in a swizzled tile
    int visible[2];      ///< keys
    int allVisible;      ///< keys that all rows of the warp see
    float reference[2];  ///< what the weights so far are relative to, base 2
    float limit[2];      ///< of a thread's part of a page's sum, above which the reference is raised; −1: there is none yet
    float sum[2];        ///< this thread's own part
  };

  static __device__ __forceinline__ void syncGroup() { ptx::syncThreads<2, groupThreads>(); }
  static __device__ __forceinline__ int warp() { return threadIdx.x % groupThreads / 32; }

  static __device__ __forceinline__ uint32_t fragment() {
    const int lane = threadIdx.x % 32;
    const int row = warp() * 16 + lane % 16;
    return row * 128 + ((lane / 16) ^ (row & 7)) * 16;
  }
  /** Of the elements `step` · 16 columns further on. */
  static __device__ __forceinline__ uint32_t fragmentAt(uint32_t first, int step) { return first ^ (step * 32); }

  /** Brings a piece's queries that are no boxes into their place in the stream. */
  static __device__ __forceinline__ void loadQueries(const DecodeParams<T>& params, Shared& shared, const ValueCursor& stream,
                                                     int request) {
#pragma unroll 1
    for (int tile = 0; tile < pageTiles; tile++) {
      const ValueCursor at = stream.ahead(tile / boxTiles);
      ptx::wait(shared.valueEmpty[at.slot], at.parity ^ 1);
      copyTile(params, shared, shared.values[at.slot] + tile % boxTiles * tileBytes, request, tile);
    }
    ptx::waitCopies();
    syncGroup();
    const int box = threadIdx.x % groupThreads;
    if (box < queryBoxes) ptx::arrive(shared.valueFull[stream.ahead(box).slot]);
  }

  /** A tile of the queries, K-major and swizzled; zeros past the last row. */
  static __device__ __forceinline__ void copyTile(const DecodeParams<T>& params, const Shared& shared, uint8_t* target, int request,
                                                  int tile) {
    constexpr int chunks = tileColumns * sizeof(T) / 16;
    const int chunk = threadIdx.x % chunks;
    const T* source = params.firstQuery(request, blockIdx.z) + tile * tileColumns + chunk * 8;
#pragma unroll 1
    for (int row = threadIdx.x % groupThreads / chunks; row < rowsPerCta; row += groupThreads / chunks) {
      const bool present = rowBegin() + row < params.rows();
      const int64_t at = present ? shared.places[row].query(params) : 0;
      ptx::copyAsync16(target + row * 128 + ((chunk ^ row) & 7) * 16, source + at, present);
    }
  }

  /** Takes a piece's queries out of the stream: some tiles into registers, the others to their place in shared memory. */
  static __device__ __forceinline__ void takeQueries(Shared& shared, const ValueCursor& stream, uint32_t fragment,
                                                     Queries& q) {
    syncGroup();
#pragma unroll
    for (int box = 0; box < queryBoxes; box++) {
      const ValueCursor at = stream.ahead(box);
      ptx::wait(shared.valueFull[at.slot], at.parity);
#pragma unroll
      for (int index = 0; index < boxTiles; index++) {
        const int tile = box * boxTiles + index;
        const uint8_t* source = shared.values[at.slot] + index * tileBytes;
        if (tile < registerTiles) {
#pragma unroll
          for (int step = 0; step < tileSteps; step++) {
            ptx::loadMatrices(q + (tile * tileSteps + step) * 4, ptx::sharedAddress(source) + fragmentAt(fragment, step));
          }
        } else if (tile < pageTiles) {
          const auto* from = reinterpret_cast<const uint4*>(source) + threadIdx.x % groupThreads;
          auto* to = reinterpret_cast<uint4*>(shared.q[tile - registerTiles]) + threadIdx.x % groupThreads;
#pragma unroll
          for (int chunk = 0; chunk < tileBytes / 16; chunk += groupThreads) to[chunk] = from[chunk];
        }
      }
      ptx::arriveWarp(shared.valueEmpty[at.slot]);
    }
    ptx::fenceAsyncProxy();
    syncGroup();
  }

  /** Starts S += Q·Kᵀ of one tile, S = Q·Kᵀ of the first. */
  template <int tile>
  static __device__ __forceinline__ void startTile(const Shared& shared, const uint8_t* k, const Queries& q, Scores& s) {
    const uint64_t b = ptx::swizzledOperand(ptx::sharedAddress(k));
#pragma unroll
    for (int step = 0; step < tileSteps; step++) {
      const uint64_t keys = ptx::advance(b, step * ptx::stepBytes);
      if constexpr (tile < registerTiles) {
        ptx::mmaSquare<T>(s, q + (tile * tileSteps + step) * 4, keys, tile + step > 0);
      } else {
        const uint64_t a = ptx::swizzledOperand(ptx::sharedAddress(shared.q[tile - registerTiles]));
        ptx::mmaSquare<T>(s, ptx::advance(a, step * ptx::stepBytes), keys, true);
      }
    }
  }

  /** Starts the product with a box of a page as soon as it is there. */
  template <int box>
  static __device__ __forceinline__ void startBox(Shared& shared, const ValueCursor& value, const Queries& q, Scores& s) {
    static_assert(boxTiles == 2);
    const ValueCursor at = value.ahead(box);
    ptx::wait(shared.valueFull[at.slot], at.parity);
    ptx::pinAccumulators(s);
    ptx::mmaFence();
    startTile<box * boxTiles>(shared, shared.values[at.slot], q, s);
    startTile<box * boxTiles + 1>(shared, shared.values[at.slot] + tileBytes, q, s);
  }

  /** S = Q·Kᵀ of a page whose first box has been started. `before`: of the page before it, if it `follows` one. @returns Shared::present of it */
  static __device__ __forceinline__ uint32_t multiplyRest(Shared& shared, const ValueCursor& value, const ScoreCursor& score,
                                                          const Queries& q, Scores& s, PageState& before, bool follows) {
    static_assert(valueBoxes == 4);
    startBox<1>(shared, value, q, s);
    ptx::wait(shared.scoreFull[score.slot], score.parity);
    const uint32_t present = shared.present[score.slot];
    ptx::pinAccumulators(s);
    ptx::mmaFence();
    // The tile without values is there early, the second half of the others late.
    startTile<scoreTile>(shared, shared.scoreTiles[score.slot], q, s);
    startBox<2>(shared, value, q, s);
    startBox<3>(shared, value, q, s);
    ptx::mmaCommit();
    if (follows) ptx::arriveWarp(before.turn);
    ptx::mmaWait<0>();
    ptx::pinAccumulators(s);
    // P will lie where the other warps may still be multiplying.
    syncGroup();
    return present;
  }

  /** −∞ for keys that a row does not see, and those of table entries outside the cache. */
  static __device__ __forceinline__ void mask(const Rows& rows, int begin, uint32_t present, Scores& s) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < pageTokens / 2; i++) {
      const int token = 8 * (i / 4) + 2 * (lane % 4) + (i & 1);
      const bool seen = begin + token < rows.visible[i / 2 & 1] && (present >> token / 16 & 1);
      s[i] = seen ? s[i] : -INFINITY;
    }
  }

  /** A row's part in a thread above it raises the reference: rarely, and long before P or sums overflow. */
  static constexpr float maxPart = 256;

  /** Raises the references to the page's maxima; leaves in the state what O shrinks by. */
  static __device__ __forceinline__ void raise(PageState& state, Rows& rows, float scaleLog2, const Scores& s) {
    float max[2] = {s[0], s[2]};
#pragma unroll
    for (int i = 0; i < pageTokens / 2; i++) max[i / 2 & 1] = fmaxf(max[i / 2 & 1], s[i]);
#pragma unroll
    for (int row = 0; row < 2; row++) {
#pragma unroll
      for (int step = 1; step <= 2; step *= 2) max[row] = fmaxf(max[row], __shfl_xor_sync(~0u, max[row], step));
      max[row] *= scaleLog2;
      const bool first = rows.limit[row] < 0;
      float factor = 1;
      if (max[row] > (first ? -INFINITY : rows.reference[row])) {
        factor = first ? 0.0f : ptx::exp2Fast(rows.reference[row] - max[row]);
        rows.reference[row] = max[row];
        rows.limit[row] = maxPart;
        rows.sum[row] *= factor;
      }
      if (threadIdx.x % 4 == 0) state.factor[rows.first + 8 * row] = factor;
    }
  }

  /** P of a page relative to the references, into `tile`. @returns this thread's part of its sums */
  static __device__ __forceinline__ float2 weigh(uint32_t tile, const Rows& rows, float scaleLog2, const Scores& s) {
    float sum[2][2] = {};
#pragma unroll
    for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
      uint32_t p[4];
#pragma unroll
      for (int index = 0; index < 4; index++) {
        const int i = step * 8 + index * 2;
        const int row = index & 1;
        const float low = ptx::exp2Fast(fmaf(s[i], scaleLog2, -rows.reference[row]));
        const float high = ptx::exp2Fast(fmaf(s[i + 1], scaleLog2, -rows.reference[row]));
        p[index] = ptx::pack<T>(low, high);
        sum[row][0] += low;
        sum[row][1] += high;
      }
      ptx::storeMatrices(tile + fragmentAt(rows.fragment, step), p);
    }
    return make_float2(sum[0][0] + sum[0][1], sum[1][0] + sum[1][1]);
  }

  /** P of a page from its scores, into the place of its tile without values; to be published. */
  static __device__ __forceinline__ void softmax(Shared& shared, const ScoreCursor& score, PageState& state, Rows& rows,
                                                 float scaleLog2, int begin, uint32_t present, Scores& s) {
    if (present != 15 || rows.allVisible < begin + pageTokens) mask(rows, begin, present, s);
    const uint32_t tile = ptx::sharedAddress(shared.scoreTiles[score.slot]);
    float2 part = weigh(tile, rows, scaleLog2, s);
    const bool raises = __any_sync(~0u, part.x > rows.limit[0] || part.y > rows.limit[1]);
    if (raises) {
      raise(state, rows, scaleLog2, s);
      part = weigh(tile, rows, scaleLog2, s);
    }
    if (threadIdx.x % 32 == 0) state.shrinks[warp()] = raises;
    rows.sum[0] += part.x;
    rows.sum[1] += part.y;
  }

  /** Tells the other groups of a page's P. */
  static __device__ __forceinline__ void publish(PageState& state) {
    ptx::fenceAsyncProxy();
    ptx::arriveWarp(state.ready);
  }

  /** Adds up the sums, writes lse, and hands the norms over: 0 for a row that saw nothing. */
  static __device__ __forceinline__ void finish(const DecodeParams<T>& params, Shared& shared, const Rows& rows,
                                                const Piece& piece, uint32_t index) {
    constexpr float ln2 = 0.693147180559945309f;
    ptx::wait(shared.normEmpty[index % 2], parityOf<2>(index) ^ 1);
#pragma unroll
    for (int row = 0; row < 2; row++) {
      float sum = rows.sum[row];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const bool empty = !(sum > 0);
      const int place = rows.first + 8 * row;
      if (threadIdx.x % 4 != 0) continue;
      shared.norm[index % 2][place] = empty ? 0.0f : 1 / sum;
      if (rowBegin() + place >= params.rows()) continue;
      const float lse = rows.reference[row] + ptx::log2Fast(sum);
      if (piece.isSplit) {
        Base::Merge::lseOf(params, piece, blockIdx.z, rowBegin() + place)[piece.split] = empty ? -INFINITY : lse;
      } else {
        const int64_t at = params.firstLse(piece.request, blockIdx.z) + shared.places[place].lse;
        params.lse[at] = empty ? INFINITY : lse * ln2;
      }
    }
    ptx::arriveWarp(shared.normFull[index % 2]);
  }

  static __device__ __forceinline__ void run(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    ValueCursor value;
    ScoreCursor score;
    uint32_t page = 0;
    uint32_t pieces = 0;
    int written = 0;
    Rows rows;
    rows.first = warp() * 16 + threadIdx.x % 32 / 4;
    rows.fragment = fragment();
    // Not to be computed again for each page.
    asm volatile("" : "+r"(rows.first), "+r"(rows.fragment));
#pragma unroll 1
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const Piece piece = pieceOf(params, row, request);
      Queries q;
#pragma unroll
      for (int index = 0; index < 2; index++) {
        rows.visible[index] = params.visibleKeys(piece.length, shared.places[rows.first + 8 * index].token);
        rows.reference[index] = 0;
        rows.limit[index] = -1;
        rows.sum[index] = 0;
      }
      rows.allVisible = __reduce_min_sync(~0u, min(rows.visible[0], rows.visible[1]));
      const bool hasPages = piece.beginPage < piece.endPage;
      if (Base::hasQueries(params, shared, request, hasPages)) {
        if (!params.hasQueryMap) loadQueries(params, shared, value, request);
        takeQueries(shared, value, rows.fragment, q);
        value = value.ahead(queryBoxes);
      }
#pragma unroll 1
      for (int index = piece.beginPage; index < piece.endPage; index++, page++) {
        Scores s;
        const bool follows = index > piece.beginPage;
        PageState& before = shared.state[(page - 1) % states];
        // First, so that the tensor cores do not wait for what follows.
        startBox<0>(shared, value, q, s);
        if (follows) publish(before);
        const uint32_t present = multiplyRest(shared, value, score, q, s, before, follows);
        softmax(shared, score, shared.state[page % states], rows, params.scaleLog2, index * pageTokens, present, s);
        value = value.ahead(valueBoxes);
        score = score.ahead(1);
      }
      if (piece.beginPage < piece.endPage) {
        PageState& last = shared.state[(page - 1) % states];
        publish(last);
        ptx::arriveWarp(last.turn);
      }
      finish(params, shared, rows, piece, pieces++);
      if (piece.isSplit) ptx::arrive(shared.splitWritten[written++]);
    }
  }
};

}  // namespace polymla
