#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/barrier.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "../ptx/wgmma.cuh"
#include "arrival.cuh"
#include "combine.cuh"
#include "page-ring.cuh"
#include "params.h"
#include "pieces.cuh"
#include "row-places.cuh"

namespace polymla {

/**
 * Dense decode for few query rows per KV head: N = 16 or 32 rows per CTA.
 *
 * The products are transposed, so that a page's 64 tokens or 64 value dims fill the 64 rows that an instruction always
 * has and the query rows are its narrow side: Sᵀ = K·Qᵀ, Oᵀ = Vᵀ·Pᵀ. One page then costs the tensor cores 1,360 cycles
 * at N = 16 and 1,640 at N = 32, where it takes about 3,900 to arrive.
 *
 * Warp 8 streams pages through the ring, warp 9 tells other CTAs when a split is written. Warpgroups 0 and 1 share each page: group g multiplies half of the
 * columns for the scores, then columns 256 g … as values. Between the two the partial scores meet in
 * shared memory, where each of the 8 warps takes the softmax of N / 8 rows, all tokens of a row within a warp.
 */
template <class T, int N>
struct FewRows {
  static constexpr int groupThreads = 128;
  static constexpr int consumerThreads = 2 * groupThreads;
  static constexpr int consumerWarps = consumerThreads / 32;
  static constexpr int threads = consumerThreads + 2 * 32;

  using Ring = PageRing<3, 6>;
  using Merge = Combine<T, consumerThreads>;
  using Cursor = typename Ring::Cursor;

  static constexpr int queryTileBytes = N * 128;
  static constexpr int groupTiles = valueDim / tileColumns / 2;
  /** Of a row of scores: a multiple of 4 for 16-byte loads, 4 mod 32 so that the stores hit every bank once. */
  static constexpr int scorePitch = pageTokens + 4;

  struct Shared {
    union {
      alignas(1024) uint8_t ring[Ring::bytes];
      typename Merge::template Shared<N> merge;  ///< after the last page
    };
    alignas(1024) uint8_t q[pageTiles * queryTileBytes];
    alignas(1024) uint8_t p[N * pageTokens * 2];
    float scores[2][N][scorePitch];
    RowPlaces places[N];
    float rescale[N];
    float norm[N];
    typename Ring::Barriers barriers;
    /** A CTA's first and last piece are the ones that can be splits. */
    ptx::MBarrier splitWritten[2];
    ptx::MBarrier firstQuery;
  };

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

  static __device__ __forceinline__ void syncConsumers() { ptx::syncThreads<1, consumerThreads>(); }

  /** Rows into L2, by a warp. */
  static __device__ __forceinline__ void prefetchQuery(const DecodeParams<T>& params, const RowPlaces& place,
                                                       int request) {
    if (threadIdx.x % 32 >= N) return;
    const T* row = params.q + (params.firstRow(request, blockIdx.z) + place.out) * queryDim;
    ptx::prefetchL2(row, queryDim * sizeof(T));
  }

  /**
   * What the first pages of a small problem wait for, one after the other, when nothing of it is in the caches: the
   * requested lines, where they can be guessed, and the address translations in any case.
   */
  static __device__ __forceinline__ void prefetchFirst(const CUtensorMap& map, const DecodeParams<T>& params) {
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int guess = static_cast<int>(static_cast<int64_t>(blockIdx.x) * params.batch / gridDim.x);
    if (warp == consumerWarps) {
      if (lane == 0) ptx::prefetchTensorMap(&map);
      const int row = min(static_cast<int>(blockIdx.y) * N + lane, params.rows() - 1);
      prefetchQuery(params, RowPlaces::of(params, row), guess);
    } else if (warp == consumerWarps + 1) {
      const void* const first[] = {params.lengths + guess,
                                   params.numSplits + guess,
                                   params.blockTable + static_cast<int64_t>(guess) * params.blockTableStride,
                                   params.arrivals,
                                   params.partialLse,
                                   params.partialOut,
                                   params.lse,
                                   params.out};
      const void* mine = first[0];
#pragma unroll
      for (int index = 1; index < 8; index++) mine = lane == index ? first[index] : mine;
      if (lane < 8) ptx::prefetchLine(mine);
    }
  }

  static __device__ void produce(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared,
                                 const ScheduleRow& row) {
    const int lane = threadIdx.x % 32;
    const int kvHead = blockIdx.z;
    Cursor page;
    bool first = true;
    const RowPlaces place = RowPlaces::of(params, min(static_cast<int>(blockIdx.y) * N + lane, params.rows() - 1));
    forEachPiece(params, row, [&](const Piece& piece) {
      // Behind the pages of this piece the next queries would take as long as the whole ring does.
      if (piece.request < row.endRequest) prefetchQuery(params, place, piece.request + 1);
      const int32_t* table = params.blockTable + static_cast<int64_t>(piece.request) * params.blockTableStride;
      if (piece.request < row.endRequest && lane == 0) ptx::prefetchLine(table + params.blockTableStride);
      const auto idOf = [&](int index) { return index < piece.endPage ? table[index] : -1; };
      // Requested 32 pages ahead: a load takes as long as everything in the ring.
      int upcoming = idOf(piece.beginPage + lane);
      for (int base = piece.beginPage; base < piece.endPage; base += 32) {
        const int mine = upcoming;
        upcoming = idOf(base + 32 + lane);
        const int count = min(32, piece.endPage - base);
        for (int index = 0; index < count; index++) {
          const int id = __shfl_sync(~0u, mine, index);
          if (lane == 0) Ring::load(shared.ring, shared.barriers, page, map, id, kvHead, params.pages);
          page.nextPage();
          // One page of every CTA keeps the memory busy; behind a full ring the queries would be late.
          if (first) ptx::wait(shared.firstQuery, 0);
          first = false;
        }
      }
    });
  }

  static __device__ __forceinline__ Arrival arrivalOf(const DecodeParams<T>& params, const Piece& piece) {
    const int64_t index = (static_cast<int64_t>(piece.request) * params.headsKv + blockIdx.z) * gridDim.y + blockIdx.y;
    return {params.arrivals + index, static_cast<uint32_t>(piece.splits)};
  }

  /** Publishes each split once it is written: waiting for that would keep the consumers from their next piece. */
  static __device__ void announce(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    if (threadIdx.x % 32 != 0) return;
    int count = 0;
    forEachSplit(params, row, [&](const Piece& piece) {
      ptx::wait(shared.splitWritten[count++], 0);
      arrivalOf(params, piece).arrive();
    });
  }

  /** Query rows into K-major swizzled tiles; rows past the last one become zeros. */
  static __device__ void loadQuery(const DecodeParams<T>& params, Shared& shared, int request, int rowBegin) {
    constexpr int rowChunks = queryDim * 2 / 16;
    const T* first = params.q + params.firstRow(request, blockIdx.z) * queryDim;
    // Not unrolled: the addresses would occupy registers all along the main loop.
#pragma unroll 1
    for (int index = threadIdx.x; index < N * rowChunks; index += consumerThreads) {
      const int row = index / rowChunks;
      const int chunk = index % rowChunks;
      const bool present = rowBegin + row < params.rows();
      const T* source = first + (present ? shared.places[row].out : 0) * queryDim + chunk * 8;
      const int place = (chunk % 8) ^ (row & 7);
      ptx::copyAsync16(shared.q + chunk / 8 * queryTileBytes + row * 128 + place * 16, source, present);
    }
    ptx::waitCopies();
    ptx::fenceAsyncProxy();
    syncConsumers();
  }

  /**
   * This group's part of Sᵀ, into shared.scores: of every three tiles the first or the last and half of the middle one,
   * so that both groups follow the tiles as they come.
   */
  static __device__ __forceinline__ void multiplyScores(Shared& shared, const Cursor& page, int group) {
    static_assert(Ring::boxTiles % 3 == 0);
    // Two chains of accumulation: one alone waits for its own results at this small a width.
    float s[2][N / 2] = {};
#pragma unroll
    for (int first = 0; first < pageTiles; first += 3) {
      const int outer = first + 2 * group;
      const int middle = first + 1;
      const uint32_t half = group * 2 * ptx::stepBytes;
      const uint64_t k[2] = {ptx::swizzledOperand(ptx::sharedAddress(Ring::tile(shared.ring, page, outer))),
                             ptx::swizzledOperand(ptx::sharedAddress(Ring::tile(shared.ring, page, middle) + half))};
      const uint64_t q[2] = {ptx::swizzledOperand(ptx::sharedAddress(shared.q + outer * queryTileBytes)),
                             ptx::swizzledOperand(ptx::sharedAddress(shared.q + middle * queryTileBytes + half))};
      Ring::waitFull(shared.barriers, page, first / Ring::boxTiles);
      for (auto& chain : s) ptx::pinAccumulators(chain);
      ptx::mmaFence();
#pragma unroll
      for (int step = 0; step < 6; step++) {
        const uint32_t bytes = step % 4 * ptx::stepBytes;
        ptx::mma<T, N, false, false>(s[step % 2], ptx::advance(k[step / 4], bytes), ptx::advance(q[step / 4], bytes));
      }
      ptx::mmaCommit();
    }
    ptx::mmaWait<0>();
    for (auto& chain : s) ptx::pinAccumulators(chain);

    const int lane = threadIdx.x % 32;
    const int token = threadIdx.x % groupThreads / 32 * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
      shared.scores[group][8 * (i / 4) + 2 * (lane % 4) + (i & 1)][token + 8 * ((i / 2) & 1)] = s[0][i] + s[1][i];
    }
  }

  /** P of this warp's rows, and by how much their O shrinks. `visible`: keys of this page that the lane's row sees. */
  static __device__ __forceinline__ void softmaxPage(Shared& shared, Softmax& state, float scaleLog2, int visible) {
    float x[Softmax::chunks][4];
    float max = state.max;
#pragma unroll
    for (int chunk = 0; chunk < Softmax::chunks; chunk++) {
      const int token = 4 * (state.lane + Softmax::lanesPerRow * chunk);
      const float4 a = *reinterpret_cast<const float4*>(&shared.scores[0][state.row][token]);
      const float4 b = *reinterpret_cast<const float4*>(&shared.scores[1][state.row][token]);
      const float s[4] = {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[chunk][i] = token + i < visible ? s[i] * scaleLog2 : -INFINITY;
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

  /** Zeroes this group's value columns from row `tokens` on: what lies there may be NaN, and 0 · NaN is NaN. */
  static __device__ __forceinline__ void clearTail(Shared& shared, const Cursor& page, int group, int tokens) {
    const int chunks = (pageTokens - tokens) * 8;
#pragma unroll 1
    for (int index = 0; index < groupTiles; index++) {
      uint4* rows = reinterpret_cast<uint4*>(Ring::tile(shared.ring, page, group * groupTiles + index)) + tokens * 8;
#pragma unroll 1
      for (int chunk = threadIdx.x % groupThreads; chunk < chunks; chunk += groupThreads) {
        rows[chunk] = make_uint4(0, 0, 0, 0);
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
      v[tile] = ptx::swizzledOperand(ptx::sharedAddress(Ring::tile(shared.ring, page, group * groupTiles + tile)));
      ptx::pinAccumulators(o[tile]);
    }
    ptx::mmaFence();
#pragma unroll
    for (int step = 0; step < pageTokens / ptx::mmaDepth; step++) {
#pragma unroll
      for (int tile = 0; tile < groupTiles; tile++) {
        ptx::mma<T, N, true, false>(o[tile], ptx::advance(v[tile], step * ptx::stepBytesTransposed),
                                    ptx::advance(p, step * ptx::stepBytes));
      }
    }
    ptx::mmaCommit();
    ptx::mmaWait<0>();
    for (auto& tile : o) ptx::pinAccumulators(tile);
  }

  /** Sums over the row's lanes, writes lse, and leaves 1 / sum in shared.norm; 0 for a row that saw nothing. */
  static __device__ __forceinline__ void finishSoftmax(const DecodeParams<T>& params, Shared& shared,
                                                       const Softmax& state, const Piece& piece, int rowBegin) {
    constexpr float ln2 = 0.693147180559945309f;
    float sum = state.sum;
#pragma unroll
    for (int step = Softmax::lanesPerRow / 2; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (state.lane != 0) return;
    const bool empty = !(sum > 0);
    shared.norm[state.row] = empty ? 0.0f : 1 / sum;
    const int row = rowBegin + state.row;
    if (row >= params.rows()) return;
    const float lse = state.max + log2f(sum);
    if (piece.isSplit) {
      params.partialLse[params.partialRow(piece.slot(), blockIdx.z, row)] = empty ? -INFINITY : lse;
    } else {
      params.lse[params.firstLse(piece.request, blockIdx.z) + shared.places[state.row].lse] = empty ? INFINITY : lse * ln2;
    }
  }

  static __device__ __forceinline__ void writeOutput(const DecodeParams<T>& params, const Shared& shared,
                                                     const Piece& piece, int rowBegin, int group,
                                                     const float (&o)[groupTiles][N / 2]) {
    const int lane = threadIdx.x % 32;
    const int dim = group * groupTiles * tileColumns + threadIdx.x % groupThreads / 32 * 16;
#pragma unroll
    for (int block = 0; block < N / 8; block++) {
      const int row = block * 8 + 2 * (lane % 4);
      const float2 norm = *reinterpret_cast<const float2*>(&shared.norm[row]);
      if (piece.isSplit) {
        // Eight lanes fill a 32-byte sector of a row.
        float* even = params.partialOut + params.partialRow(piece.slot(), blockIdx.z, rowBegin + row) * valueDim;
#pragma unroll
        for (int index = 0; index < groupTiles * 2; index++) {
          const int at = dim + index / 2 * tileColumns + index % 2 * 8 + lane / 4;
          const int i = block * 4 + index % 2 * 2;
          if (rowBegin + row < params.rows()) even[at] = o[index / 2][i] * norm.x;
          if (rowBegin + row + 1 < params.rows()) even[valueDim + at] = o[index / 2][i + 1] * norm.y;
        }
      } else {
        const int outRow = block * 8 + lane / 4;
        const int64_t place = params.firstRow(piece.request, blockIdx.z) + shared.places[outRow].out;
        T* out = params.out + place * valueDim;
#pragma unroll
        for (int index = 0; index < groupTiles * 2; index++) {
          const int i = block * 4 + index % 2 * 2;
          const uint32_t pair = ptx::pack<T>(o[index / 2][i] * norm.x, o[index / 2][i + 1] * norm.y);
          const uint32_t values = ptx::transpose8x8(pair);
          const int at = dim + index / 2 * tileColumns + index % 2 * 8 + 2 * (lane % 4);
          if (rowBegin + outRow < params.rows()) *reinterpret_cast<uint32_t*>(out + at) = values;
        }
      }
    }
  }

  static __device__ void consume(const DecodeParams<T>& params, Shared& shared, const ScheduleRow& row) {
    // Through a shuffle the compiler knows that all lanes agree, as descriptors in uniform registers need.
    const int group = __shfl_sync(~0u, threadIdx.x / groupThreads, 0);
    const int rowBegin = blockIdx.y * N;
    Softmax state;
    state.row = threadIdx.x / 32 * Softmax::rowsPerWarp + threadIdx.x % 32 / Softmax::lanesPerRow;
    state.lane = threadIdx.x % Softmax::lanesPerRow;
    Cursor page;
    int written = 0;

    forEachPiece(params, row, [&](const Piece& piece) {
      loadQuery(params, shared, piece.request, rowBegin);
      if (piece.request == row.beginRequest) ptx::arrive(shared.firstQuery);
      const int visible = params.visibleKeys(piece.length, shared.places[state.row].token);
      state.max = -INFINITY;
      state.sum = 0;
      float o[groupTiles][N / 2] = {};
      for (int index = piece.beginPage; index < piece.endPage; index++) {
        multiplyScores(shared, page, group);
        syncConsumers();
        const int begin = index * pageTokens;
        const bool exists = shared.barriers.tokens[page.slot] != 0;
        softmaxPage(shared, state, params.scaleLog2, exists ? visible - begin : 0);
        if (piece.length - begin < pageTokens) clearTail(shared, page, group, piece.length - begin);
        ptx::fenceAsyncProxy();
        syncConsumers();
        multiplyValues(shared, page, group, o);
        if (threadIdx.x % 32 == 0) Ring::release(shared.barriers, page);
        page.nextPage();
      }
      finishSoftmax(params, shared, state, piece, rowBegin);
      syncConsumers();
      writeOutput(params, shared, piece, rowBegin, group, o);
      if (piece.isSplit) ptx::arrive(shared.splitWritten[written++]);
    });

    // Only now: every CTA first finishes its own work, so that none waits for one that waits.
    forEachSplit(params, row, [&](const Piece& piece) {
      if (threadIdx.x == 0) arrivalOf(params, piece).wait();
      syncConsumers();
      const int count = min(N, params.rows() - rowBegin);
      Merge{params, piece, shared.places, static_cast<int>(blockIdx.z), rowBegin}.run(shared.merge, count, syncConsumers);
    });
  }
};

/** Grid: partitions × blocks of N rows × KV heads, all resident when any request is split. */
template <class T, int N>
__global__ void __launch_bounds__(FewRows<T, N>::threads, 1)
    fewRowsDecode(const __grid_constant__ CUtensorMap cacheMap, const __grid_constant__ DecodeParams<T> params) {
  using Kernel = FewRows<T, N>;
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<typename Kernel::Shared*>(memory);
  Kernel::prefetchFirst(cacheMap, params);
  const ScheduleRow row = params.schedule[blockIdx.x];
  if (row.beginRequest > row.endRequest) return;
  if (threadIdx.x == 0) {
    for (auto& barrier : shared.splitWritten) ptx::init(barrier, Kernel::consumerThreads);
    ptx::init(shared.firstQuery, Kernel::consumerThreads);
    Kernel::Ring::init(shared.barriers, Kernel::consumerWarps);
    ptx::fenceBarrierInit();
  }
  if (threadIdx.x < N) shared.places[threadIdx.x] = RowPlaces::of(params, blockIdx.y * N + threadIdx.x);
  __syncthreads();
  const int warp = threadIdx.x / 32;
  if (warp < Kernel::consumerWarps) {
    Kernel::consume(params, shared, row);
  } else if (warp == Kernel::consumerWarps) {
    Kernel::produce(&cacheMap, params, shared, row);
  } else {
    Kernel::announce(params, shared, row);
  }
}

}  // namespace polymla
