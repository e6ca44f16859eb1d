#pragma once
#include <cstdint>

#include "../host/schedule.h"

namespace polymla {

constexpr int pageTokens = 64;
constexpr int queryDim = 576;
constexpr int valueDim = 512;
/** Columns of a 128-byte-swizzled tile of a page. */
constexpr int tileColumns = 64;
constexpr int pageTiles = queryDim / tileColumns;
constexpr int tileBytes = pageTokens * tileColumns * 2;

/** Arguments of a dense decode kernel; device pointers. T is the 16-bit type of queries, cache and output. */
template <class T>
struct DecodeParams {
  const T* q;                  ///< [batch, queryTokens, headsQ, 576], 16-byte aligned
  T* out;                      ///< [batch, queryTokens, headsQ, 512]
  float* lse;                  ///< [batch, headsQ, queryTokens], natural log
  const int32_t* lengths;      ///< [batch]
  const int32_t* blockTable;   ///< [batch, blockTableStride]
  const ScheduleRow* schedule; ///< [gridDim.x]
  const int32_t* numSplits;    ///< [batch + 1]
  float* partialOut;           ///< [splits, headsKv, rows, 512]
  float* partialLse;           ///< [splits, headsKv, rows], base 2
  uint32_t* arrivals;          ///< [batch, headsKv, row blocks], 0 before and after each launch
  int32_t blockTableStride;
  int32_t batch;
  int32_t queryTokens;
  int32_t headsQ;
  int32_t headsKv;
  int32_t headsPerKv;  ///< headsQ / headsKv
  int32_t pages;  ///< of the cache
  float scaleLog2;  ///< softmax scale · log2 e
  bool causal;

  /** Query rows of one KV head: row s · headsPerKv + h is token s, head h of the group. */
  __host__ __device__ int rows() const { return queryTokens * headsPerKv; }

  /** Offset of a KV head's rows in q and out, in rows of 576 and 512; RowPlaces has the row's own part. */
  __device__ int64_t firstRow(int request, int kvHead) const {
    return static_cast<int64_t>(request) * queryTokens * headsQ + kvHead * headsPerKv;
  }
  /** The same in lse. */
  __device__ int64_t firstLse(int request, int kvHead) const {
    return (static_cast<int64_t>(request) * headsQ + kvHead * headsPerKv) * queryTokens;
  }
  /** Place of a row of a split in partialLse, and in rows of 512 in partialOut. */
  __device__ int64_t partialRow(int split, int kvHead, int row) const {
    return (static_cast<int64_t>(split) * headsKv + kvHead) * rows() + row;
  }
  /** Keys that a token sees, the first ones of the request; may be negative. */
  __device__ int visibleKeys(int length, int token) const {
    return causal ? length - (queryTokens - 1 - token) : length;
  }
};

}  // namespace polymla
