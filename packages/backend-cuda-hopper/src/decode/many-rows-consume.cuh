#pragma once
#include "many-rows-multiply.cuh"

namespace polymla {

/** The two warpgroups of the many-rows kernel that multiply: scores and softmax of every other page, half of
 * O. */
template <class T>
struct ManyRowsConsume : ManyRowsMultiply<T> {
  using Base = ManyRowsMultiply<T>;
  using Base::arrivalOf;
  using Base::awaitSoftmax;
  using Base::boxTiles;
  using Base::clearTail;
  using Base::finishSoftmax;
  using Base::finishValues;
  using Base::groupColumns;
  using Base::groupThreads;
  using Base::releaseQueries;
  using Base::rescale;
  using Base::rowBegin;
  using Base::rowsPerCta;
  using Base::softmax;
  using Base::startScores;
  using Base::startValues;
  using Base::syncConsumers;
  using typename Base::Merge;
  using typename Base::Output;
  using typename Base::Rows;
  using typename Base::Scores;
  using typename Base::Shared;
  using typename Base::Weights;

  /** O += P·V of a page whose softmax the other group takes, once it has; not awaited. */
  static __device__ __forceinline__ void startOthers(Shared& shared, const Piece& piece, uint32_t page,
                                                     int begin, int group, Rows& rows, Output& o) {
    rescale(o, awaitSoftmax(shared, page, rows));
    clearTail(shared, page, group, piece.length - begin);
    startValues(shared, page, group, o);
  }

  /** Group 0's part of a piece of `pages` pages, `page` the first one's place in the stream. */
  static __device__ __forceinline__ void multiplyEven(const DecodeParams<T>& params, Shared& shared,
                                                      const Piece& piece, uint32_t page, int pages,
                                                      Rows& rows, Output& o) {
    Scores s;
    Weights p;
    int begin = piece.beginPage * pageTokens;
    startScores(shared, page, 0, s);
    ptx::mmaWait<0>();
    ptx::pinAccumulators(s);
#pragma unroll 1
    for (int left = pages;; left -= 2, page += 2, begin += 2 * pageTokens) {
      if (left <= 2) releaseQueries(shared);
      rescale(o, softmax(shared, page, rows, params.scaleLog2, begin, s, p));
      clearTail(shared, page, 0, piece.length - begin);
      startValues(shared, page, 0, o, p);
      finishValues(shared, page, 0, o);
      if (left == 1) return;
      startOthers(shared, piece, page + 1, begin + pageTokens, 0, rows, o);
      if (left == 2) break;
      finishValues(shared, page + 1, 0, o);
      startScores(shared, page + 2, 0, s);
      ptx::mmaWait<0>();
      ptx::pinAccumulators(s);
    }
    finishValues(shared, page + 1, 0, o);
  }

  /** Group 1's: it turns to the page before its own while it takes the softmax of its own. */
  static __device__ __forceinline__ void multiplyOdd(const DecodeParams<T>& params, Shared& shared,
                                                     const Piece& piece, uint32_t page, int pages, Rows& rows,
                                                     Output& o) {
    Scores s;
    Weights p;
    int begin = piece.beginPage * pageTokens;
    int left = pages;
#pragma unroll 1
    for (; left > 1; left -= 2, page += 2, begin += 2 * pageTokens) {
      startScores(shared, page + 1, 1, s);
      ptx::mmaWait<0>();
      ptx::pinAccumulators(s);
      if (left <= 3) releaseQueries(shared);
      startOthers(shared, piece, page, begin, 1, rows, o);
      const float2 scale = softmax(shared, page + 1, rows, params.scaleLog2, begin + pageTokens, s, p);
      finishValues(shared, page, 1, o);
      rescale(o, scale);
      clearTail(shared, page + 1, 1, piece.length - begin - pageTokens);
      startValues(shared, page + 1, 1, o, p);
      finishValues(shared, page + 1, 1, o);
    }
    if (pages == 1) releaseQueries(shared);
    if (left == 0) return;
    startOthers(shared, piece, page, begin, 1, rows, o);
    finishValues(shared, page, 1, o);
  }

  static __device__ __forceinline__ void writeOutput(const DecodeParams<T>& params, const Shared& shared,
                                                     const Piece& piece, int group, const Rows& rows,
                                                     const float2& norm, const Output& o) {
    constexpr int boxBlocks = boxTiles * tileColumns / 8;
    const int column = group * groupColumns + 2 * (threadIdx.x % 4);
#pragma unroll
    for (int row = 0; row < 2; row++) {
      const int place = rows.first + 8 * row;
      const float factor = row == 0 ? norm.x : norm.y;
      if (rowBegin() + place >= params.rows()) continue;
      if (piece.isSplit) {
        const int64_t at = params.partialRow(piece.slot(), blockIdx.z, rowBegin() + place);
        float* out = params.partialOut + at * valueDim + column;
#pragma unroll
        for (int block = 0; block < groupColumns / 8; block++) {
          const float* d = o[block / boxBlocks] + block % boxBlocks * 4 + 2 * row;
          *reinterpret_cast<float2*>(out + 8 * block) = make_float2(d[0] * factor, d[1] * factor);
        }
      } else {
        const int64_t at = params.firstRow(piece.request, blockIdx.z) + shared.places[place].out;
        T* out = params.out + at * valueDim + column;
#pragma unroll
        for (int block = 0; block < groupColumns / 8; block++) {
          const float* d = o[block / boxBlocks] + block % boxBlocks * 4 + 2 * row;
          *reinterpret_cast<uint32_t*>(out + 8 * block) = ptx::pack<T>(d[0] * factor, d[1] * factor);
        }
      }
    }
  }

  template <int group>
  static __device__ __forceinline__ void consume(const DecodeParams<T>& params, Shared& shared,
                                                 const ScheduleRow& row) {
    uint32_t page = 0;
    uint32_t queries = 0;
    int parity = 0;
    int written = 0;
#pragma unroll 1
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const Piece piece = pieceOf(params, row, request);
      Rows rows;
      rows.first = threadIdx.x % groupThreads / 32 * 16 + threadIdx.x % 32 / 4;
#pragma unroll
      for (int index = 0; index < 2; index++) {
        rows.visible[index] = params.visibleKeys(piece.length, shared.places[rows.first + 8 * index].token);
        rows.max[index] = -INFINITY;
        rows.sum[index] = 0;
      }
      Output o = {};
      const int pages = piece.endPage - piece.beginPage;
      if (pages > 0) {
        ptx::wait(shared.queryFull, queries++ % 2);
        if constexpr (group == 0) {
          multiplyEven(params, shared, piece, page, pages, rows, o);
        } else {
          multiplyOdd(params, shared, piece, page, pages, rows, o);
        }
        page += pages;
      }
      const float2 norm = finishSoftmax(params, shared, rows, piece, group, parity);
      parity ^= 1;
      writeOutput(params, shared, piece, group, rows, norm, o);
      if (piece.isSplit) ptx::arrive(shared.splitWritten[written++]);
    }

    // Only now: every CTA first finishes its own work, so that none waits for one that waits.
    forEachSplit(params, row, [&](const Piece& piece) {
      if (threadIdx.x == 0) arrivalOf(params, piece).wait();
      syncConsumers();
      const int count = min(rowsPerCta, params.rows() - rowBegin());
      const Merge merge{params, piece, shared.places, static_cast<int>(blockIdx.z), rowBegin()};
      merge.run(shared.merge, count, syncConsumers);
    });
  }
};

}  // namespace polymla
