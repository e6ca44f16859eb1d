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
  int32_t pages;  ///< of the cache
  float scaleLog2;  ///< softmax scale · log2 e
  bool causal;

  /** Query rows of one KV head: row s · headsPerKv + h is token s, head h of the group. */
  __host__ __device__ int headsPerKv() const { return headsQ / headsKv; }
  __host__ __device__ int rows() const { return queryTokens * headsPerKv(); }

  __device__ int64_t qOffset(int request, int kvHead, int row) const { return outRow(request, kvHead, row) * queryDim; }
  __device__ int64_t outOffset(int request, int kvHead, int row) const { return outRow(request, kvHead, row) * valueDim; }
  __device__ int64_t lseOffset(int request, int kvHead, int row) const {
    const int head = kvHead * headsPerKv() + row % headsPerKv();
    return (static_cast<int64_t>(request) * headsQ + head) * queryTokens + row / headsPerKv();
  }
  __device__ int64_t partialRow(int split, int kvHead, int row) const {
    return (static_cast<int64_t>(split) * headsKv + kvHead) * rows() + row;
  }
  /** Keys that a row sees, the first ones of the request; may be negative. */
  __device__ int visibleKeys(int length, int row) const {
    return causal ? length - (queryTokens - 1 - row / headsPerKv()) : length;
  }

 private:
  __device__ int64_t outRow(int request, int kvHead, int row) const {
    const int token = row / headsPerKv();
    return (static_cast<int64_t>(request) * queryTokens + token) * headsQ + kvHead * headsPerKv() + row % headsPerKv();
  }
};

}  // namespace polymla
