#pragma once
#include "../ptx/async-copy.cuh"
#include "../ptx/barrier.cuh"
#include "../ptx/math.cuh"
#include "../ptx/matrix.cuh"
#include "../ptx/wgmma.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** The two warpgroups of the few-rows kernel: both products, the softmax between them, the results. */
template <class T, int N>
struct FewRowsConsume : FewRows<T, N> {
  using Base = FewRows<T, N>;
  using typename Base::Cursor;
  using typename Base::Merge;
  using typename Base::Ring;
  using typename Base::Shared;
  using Base::arrivalOf;
  using Base::consumerThreads;
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
    const float lse = state.max + ptx::log2Fast(sum);
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
    // The shuffle tells the compiler that all lanes agree.
    const int group = __shfl_sync(~0u, threadIdx.x / groupThreads, 0);
    const int rowBegin = blockIdx.y * N;
    Softmax state;
    state.row = threadIdx.x / 32 * Softmax::rowsPerWarp + threadIdx.x % 32 / Softmax::lanesPerRow;
    state.lane = threadIdx.x % Softmax::lanesPerRow;
    Cursor page;
    int written = 0;

    forEachPiece(params, row, [&](const Piece& piece) {
      loadQuery(params, shared, piece.request, rowBegin);
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
        // Every lane has read what the producer will overwrite; one of them says so.
        __syncwarp();
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

}  // namespace polymla
