#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/barrier.cuh"
#include "../ptx/dependent-launch.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "../ptx/wgmma.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** The two warpgroups of the few-rows kernel: both products, the softmax between them, the results. */
template <class T, int N, int HeadDim>
struct FewRowsConsume : FewRows<T, N, HeadDim> {
  using Base = FewRows<T, N, HeadDim>;
  using typename Base::Cursor;
  using typename Base::Merge;
  using typename Base::Ring;
  using typename Base::Shared;
  using Base::consumerWarps;
  using Base::groupThreads;
  using Base::groupTiles;
  using Base::queryTileBytes;
  using Base::syncConsumers;

  /** Softmax state of the row this lane works on; `sum` is the lane's own part. */
  struct Softmax {
    static constexpr int rowsPerWarp = N / consumerWarps;
    static constexpr int lanesPerRow = 32 / rowsPerWarp;
    static constexpr int chunks = pageTokens / lanesPerRow / 4;
    int row;   ///< of the CTA's row block
    int lane;  ///< among the lanes of the row
    float max;
    float sum;
  };

  /**
   * Query rows into K-major swizzled tiles; rows past the last one become zeros. A thread copies every lanesPerRow-th
   * 16 bytes of the row on which it works in the softmax.
   */
  static __device__ __forceinline__ void startLoadingQuery(Shared& shared, const Softmax& state, const T* source,
                                                   bool present) {
    constexpr int rowChunks = HeadDim * 2 / 16;
    uint8_t* tile = shared.q + state.lane / 8 * queryTileBytes + state.row * 128 + ((state.lane ^ state.row) & 7) * 16;
    source += state.lane * 8;
#pragma unroll
    for (int chunk = 0; chunk < rowChunks; chunk += Softmax::lanesPerRow) {
      if (chunk + state.lane < rowChunks) {
        ptx::copyAsync16(tile + chunk / 8 * queryTileBytes, source + chunk * 8, present);
      }
    }
  }

  /** This group's part of Sᵀ, into shared.scores: half of the tiles, of nine tiles half of the middle one. */
  static __device__ __forceinline__ void multiplyScores(Shared& shared, const Cursor& page, int group) {
    constexpr int whole = Base::tiles / 2;  ///< tiles of a group
    constexpr int wholeSteps = whole * 4;
    constexpr int steps = Base::tiles * 2;
    const int outer = group * (Base::tiles - whole);
    const uint32_t half = group * 2 * ptx::stepBytes;
    const uint64_t k[2] = {Ring::operand(shared.ring, page, outer), ptx::advance(Ring::operand(shared.ring, page, whole), half)};
    const uint64_t q[2] = {ptx::swizzledOperand(ptx::sharedAddress(shared.q + outer * queryTileBytes)),
                           ptx::swizzledOperand(ptx::sharedAddress(shared.q + whole * queryTileBytes + half))};
    // Two chains of accumulation: one alone waits for its own results at this small a width.
    float s[2][N / 2] = {};
    Ring::waitFull(shared.barriers, page);
    for (auto& chain : s) ptx::pinAccumulators(chain);
    ptx::mmaFence();
#pragma unroll
    for (int step = 0; step < steps; step++) {
      const int part = step / wholeSteps;
      const int tile = step % wholeSteps / 4;
      const uint32_t bytes = step % 4 * ptx::stepBytes;
      ptx::mma<T, N, false, false>(s[step % 2], ptx::advance(k[part], tile * Ring::tileGroupBytes + bytes),
                                   ptx::advance(q[part], tile * queryTileBytes + bytes));
    }
    ptx::mmaCommit();
    ptx::mmaWait<0>();
    for (auto& chain : s) ptx::pinAccumulators(chain);

    const int lane = threadIdx.x % 32;
    const int token = threadIdx.x % groupThreads / 32 * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
      shared.scores[group][8 * (i / 4) + 2 * (lane % 4) + (i & 1)][token + 8 * ((i / 2) & 1)] = s[0][i] + s[1][i];
    }
  }

  /**
   * P of this warp's rows, and by how much their O shrinks.
   *
   * @param visible keys of this page up to which the lane's row sees, of those that
   * @param present has: a bit per 16 keys
   */
  static __device__ __forceinline__ void softmaxPage(Shared& shared, Softmax& state, float scaleLog2, int visible,
                                                     uint32_t present) {
    float x[Softmax::chunks][4];
    float max = state.max;
#pragma unroll
    for (int chunk = 0; chunk < Softmax::chunks; chunk++) {
      const int token = 4 * (state.lane + Softmax::lanesPerRow * chunk);
      const float4 a = *reinterpret_cast<const float4*>(&shared.scores[0][state.row][token]);
      const float4 b = *reinterpret_cast<const float4*>(&shared.scores[1][state.row][token]);
      const float s[4] = {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
      const int limit = present >> token / 16 & 1 ? visible : 0;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[chunk][i] = token + i < limit ? s[i] * scaleLog2 : -INFINITY;
        max = fmaxf(max, x[chunk][i]);
      }
    }
#pragma unroll
    for (int step = Softmax::lanesPerRow / 2; step > 0; step /= 2) {
      max = fmaxf(max, __shfl_xor_sync(~0u, max, step));
    }
    // Nothing visible so far: any finite reference gives weights 0, where −∞ would give NaN.
    const float reference = max == -INFINITY ? 0.0f : max;
    const float shrink = ptx::exp2Fast(state.max - reference);
    float sum = state.sum * shrink;
#pragma unroll
    for (int chunk = 0; chunk < Softmax::chunks; chunk++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[chunk][i] = ptx::exp2Fast(x[chunk][i] - reference);
        sum += x[chunk][i];
      }
      const int token = 4 * (state.lane + Softmax::lanesPerRow * chunk);
      const int place = (token / 8) ^ (state.row & 7);
      *reinterpret_cast<uint2*>(shared.p + state.row * 128 + place * 16 + token % 8 * 2) =
          make_uint2(ptx::pack<T>(x[chunk][0], x[chunk][1]), ptx::pack<T>(x[chunk][2], x[chunk][3]));
    }
    if (state.lane == 0) shared.rescale[state.row] = shrink;
    state.max = max;
    state.sum = sum;
  }

  /**
   * Hides from this lane what its row of the tree mask hides, ahead of softmaxPage, in a page with some of the last keys.
   *
   * @param treeRow the row's words
   * @param firstBit of this page's first token; negative before the last queryTokens keys
   */
  static __device__ __forceinline__ void hideBranches(Shared& shared, const Softmax& state, const int32_t* treeRow,
                                                      int queryTokens, int firstBit) {
#pragma unroll
    for (int chunk = 0; chunk < Softmax::chunks; chunk++) {
#pragma unroll 1
      for (int i = 0; i < 4; i++) {
        const int token = 4 * (state.lane + Softmax::lanesPerRow * chunk) + i;
        const int bit = firstBit + token;
        if (bit < 0 || bit >= queryTokens || (treeRow[bit / 32] >> bit % 32 & 1) != 0) continue;
        shared.scores[0][state.row][token] = -INFINITY;
        shared.scores[1][state.row][token] = 0;
      }
    }
  }

  /** O := O · rescale + Vᵀ·Pᵀ of this group's columns. */
  static __device__ __forceinline__ void multiplyValues(Shared& shared, const Cursor& page, int group,
                                                        float (&o)[groupTiles][N / 2]) {
    const int column = 2 * (threadIdx.x % 4);
    float2 factors[N / 8];
    bool changed = false;
#pragma unroll
    for (int block = 0; block < N / 8; block++) {
      factors[block] = *reinterpret_cast<const float2*>(&shared.rescale[block * 8 + column]);
      changed |= factors[block].x != 1 || factors[block].y != 1;
    }
    if (__any_sync(~0u, changed)) {
#pragma unroll
      for (int tile = 0; tile < groupTiles; tile++) {
#pragma unroll
        for (int i = 0; i < N / 2; i++) o[tile][i] *= i & 1 ? factors[i / 4].y : factors[i / 4].x;
      }
    }
    const uint64_t p = ptx::swizzledOperand(ptx::sharedAddress(shared.p));
    uint64_t v[groupTiles];
#pragma unroll
    for (int tile = 0; tile < groupTiles; tile++) {
      v[tile] = Ring::operand(shared.ring, page, group * groupTiles + tile);
      ptx::pinAccumulators(o[tile]);
    }
    ptx::mmaFence();
#pragma unroll
    for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
#pragma unroll
      for (int tile = 0; tile < groupTiles; tile++) {
        ptx::mma<T, N, true, false>(o[tile], ptx::advance(v[tile], step * Ring::tokenStepBytes),
                                    ptx::advance(p, step * ptx::stepBytes));
      }
    }
    ptx::mmaCommit();
    ptx::mmaWait<0>();
    for (auto& tile : o) ptx::pinAccumulators(tile);
  }

  /** Sums over the row's lanes, writes lse, and leaves 1 / sum in shared.norm; 0 for a row that saw nothing. */
  static __device__ __forceinline__ void finishSoftmax(const DecodeParams<T>& params, Shared& shared, const Merge& merge,
                                                       const Softmax& state, const Piece& piece) {
    float sum = state.sum;
#pragma unroll
    for (int step = Softmax::lanesPerRow / 2; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (state.lane != 0) return;
    shared.norm[state.row] = sum > 0 ? __fdividef(1, sum) : 0.0f;
    if (piece.isSplit) {
      merge.lseOf(piece, state.row)[piece.split] = sum > 0 ? state.max + ptx::log2Fast(sum) : -INFINITY;
    } else {
      merge.writeLse(piece, state.row, state.max, sum);
    }
  }

  static __device__ void consume(const DecodeParams<T>& params, Shared& shared) {
    Base::initBarriers([&] { Base::init(shared); });
    if (threadIdx.x == 0 && params.hasQueryMap) ptx::prefetchTensorMap(&params.queries->map);
    // The shuffle tells the compiler that all lanes agree.
    const int group = __shfl_sync(~0u, threadIdx.x / groupThreads, 0);
    Softmax state;
    state.row = threadIdx.x / Softmax::lanesPerRow;
    state.lane = threadIdx.x % Softmax::lanesPerRow;
    const Merge merge{params, shared.places, params.rows() - static_cast<int>(blockIdx.y) * N};
    const bool present = state.row < merge.rowCount;
    const RowPlaces place = RowPlaces::of(params, blockIdx.y * N + (present ? state.row : 0));
    if (state.lane == 0) shared.places[state.row] = place;
    ptx::awaitEarlierKernels();
    const ScheduleRow row = params.schedule[blockIdx.x];
    QueryPlace queryPlace = QueryPlace::of(params, blockIdx.y * N, blockIdx.z);
    // Computed here: there is time while the row is on its way.
    asm volatile("" : "+r"(queryPlace.head), "+r"(queryPlace.token));
    Base::syncConsumers();
    if (row.beginRequest > row.endRequest) return;
    if (threadIdx.x / 32 == consumerWarps - 1) Base::prefetchTranslations(params);
    Cursor page;
    Piece last;
    uint32_t turn = 0;  ///< parity of queryFull

    const auto startQuery = [&](int request) {
      if (!params.hasQueryMap) {
        startLoadingQuery(shared, state, params.firstQuery(request, blockIdx.z) + place.query(params), present);
      } else if (threadIdx.x == 0) {
        ptx::arriveExpect(shared.queryFull, sizeof shared.q);
        loadQueryBox(params, shared.q, shared.queryFull, queryPlace, request, 0);
      }
    };

    startQuery(row.beginRequest);
    forEachPiece(params, row, [&](const Piece& piece) {
      const bool goesOn = piece.request < row.endRequest;
      const int visible = params.visibleKeys(piece.length, place.token);
      state.max = -INFINITY;
      state.sum = 0;
      float o[groupTiles][N / 2] = {};
      if (params.hasQueryMap) {
        ptx::wait(shared.queryFull, turn);
        turn ^= 1;
      } else {
        ptx::waitCopies();
        ptx::fenceAsyncProxy();
      }
      syncConsumers();
      for (int index = piece.beginPage; index < piece.endPage; index++) {
        multiplyScores(shared, page, group);
        // One lane reads, the one that gives the slot back.
        const uint32_t existing = __shfl_sync(~0u, threadIdx.x % 32 == 0 ? shared.barriers.present[page.slot] : 0, 0);
        syncConsumers();
        // Behind the last scores of this piece, whose values and results hide the wait.
        if (index + 1 == piece.endPage && goesOn) startQuery(piece.request + 1);
        const int begin = index * pageTokens;
        const int firstBit = begin - piece.length + params.queryTokens;
        if (params.treeMask != nullptr && firstBit + pageTokens > 0) {
          hideBranches(shared, state, params.treeRow(piece.request, place.token), params.queryTokens, firstBit);
        }
        softmaxPage(shared, state, params.scaleLog2, visible - begin, existing);
        if (piece.length - begin < pageTokens) {
          Ring::template clearTail<groupTiles, groupThreads>(shared.ring, page, group * groupTiles, piece.length - begin,
                                                             threadIdx.x % groupThreads);
        }
        ptx::fenceAsyncProxy();
        syncConsumers();
        multiplyValues(shared, page, group, o);
        // Every lane has read what the producer will overwrite; one of them says so.
        __syncwarp();
        if (threadIdx.x % 32 == 0) Ring::release(shared.barriers, page);
        page.nextPage();
      }
      if (piece.beginPage >= piece.endPage && goesOn) startQuery(piece.request + 1);
      finishSoftmax(params, shared, merge, state, piece);
      syncConsumers();
      float2 factors[Merge::rowBlocks];
#pragma unroll
      for (int block = 0; block < Merge::rowBlocks; block++) {
        factors[block] = *reinterpret_cast<const float2*>(shared.norm + block * 8 + threadIdx.x % 4 * 2);
      }
      merge.store(piece, o, factors, syncConsumers);
      last = piece;
    });

    Base::mergeSplits(params, row, last, merge, shared);
  }
};

}  // namespace polymla
