#pragma once
#include <cuda.h>

#include <cstdint>

#include "../host/schedule.h"
#include "schedule-guess.h"

namespace polymla {

constexpr int pageTokens = 64;
constexpr int queryDim = 576;
constexpr int valueDim = 512;
/** Columns of a 128-byte-swizzled tile of a page. */
constexpr int tileColumns = 64;
constexpr int pageTiles = queryDim / tileColumns;
constexpr int tileBytes = pageTokens * tileColumns * 2;

/** A cache as a kernel copies it; in device memory. */
struct CacheMaps {
  CUtensorMap box;
  CUtensorMap tile;  ///< many-rows: of one 64-column tile, for the last one of a page and pages of fewer than 64 tokens
};

/** Queries of T, rows 16-byte aligned; in device memory. */
template <class T>
struct QueryTensor {
  CUtensorMap map;  ///< of boxes of a CTA's rows, as the kernel's QueryBox says; only where DecodeParams::hasQueryMap
  const T* q;       ///< [batch, queryTokens, headsQ, headDim]
  int64_t requestStride;  ///< in elements
  int64_t tokenStride;
  int64_t headStride;
};

/**
 * Arguments of a dense decode kernel; device pointers. T is the 16-bit type of queries, cache and output. So that they take no
 * more than mostParamBytes (host/launch-params.h), tensor maps lie in device memory.
 */
template <class T>
struct DecodeParams {
  // The first 64 bytes are one line of the constant cache: all that stands between a CTA's start and its first page.
  const ScheduleRow* schedule; ///< [gridDim.x]
  const int32_t* lengths;      ///< [batch]
  const int32_t* blockTable;   ///< [batch, blockTableStride]
  const int32_t* numSplits;    ///< [batch + 1]
  int32_t blockTableStride;
  int32_t pageSize;  ///< tokens per page of the cache: 16, 32 or a multiple of 64; the schedule counts pages of 64
  int32_t pages;     ///< of the cache
  /** Most tokens that a request's row of the table has room for. */
  int32_t mostTokens = INT32_MAX - pageTokens;
  const CacheMaps* cache;
  ScheduleGuess guess;  ///< few-rows, with pages of 64 tokens
  bool causal;
  bool hasQueryMap = false;
  uint16_t headsKv;
  const QueryTensor<T>* queries;
  /** Whose queries a request has, where requests are splits of a batch-invariant step; null: its own. */
  const int32_t* queryOf = nullptr; ///< [batch]
  T* out;                ///< [batch, queryTokens, headsQ, 512]
  float* lse;            ///< [batch, headsQ, queryTokens], natural log
  T* partialOut;         ///< parts of splits, KV heads and row blocks, see Combine and FewRowsMerge
  float* partialLse;     ///< of all splits and rows, base 2: see Combine::lseOf, few-rows: FewRowsMerge::lseOf
  uint32_t* arrivals;    ///< [batch, headsKv, row blocks], 0 before and after each launch
  /** Of the last queryTokens keys, which ones a query token sees: bit t % 32 of word t / 32 of its row; null: as `causal` says. */
  const int32_t* treeMask = nullptr;  ///< [batch, queryTokens, ceil(queryTokens / 32)]
  /** Most blocks of 64 tokens of a request, whatever its length: those of a split that is a request of its own. */
  int32_t mostPages = INT32_MAX;
  int32_t headsPerKv;
  int32_t queryTokens;
  float scaleLog2;  ///< softmax scale · log2 e

  /**
   * Whether CTAs wait for one another, as those of a split request do: the launch must fail rather than leave some of them queued.
   * Splits that are requests of their own wait for nobody.
   */
  bool awaitsOthers(int partitions) const { return partitions > 1 && queryOf == nullptr; }

  __host__ __device__ int headsQ() const { return headsKv * headsPerKv; }
  /** Query rows of one KV head: row s · headsPerKv + h is token s, head h of the group. */
  __host__ __device__ int rows() const { return queryTokens * headsPerKv; }

  /** A request's length from what the device holds, which is unchecked: as far as its row of the table goes. */
  __device__ int lengthFrom(int stored) const {
    const int length = stored < mostTokens ? stored : mostTokens;
    return length > 0 ? length : 0;
  }
  __device__ int lengthOf(int request) const { return lengthFrom(lengths[request]); }
  /** Blocks of 64 tokens of a request of that length. */
  __device__ int pagesOf(int length) const {
    const int pages = (length + pageTokens - 1) / pageTokens;
    return pages < mostPages ? pages : mostPages;
  }
  /** First row of a KV head in q; RowPlaces has the row's own part. */
  __device__ const T* firstQuery(int request, int kvHead) const {
    if (queryOf != nullptr) request = queryOf[request];
    return queries->q + request * queries->requestStride + static_cast<int64_t>(kvHead) * headsPerKv * queries->headStride;
  }
  /** Offset of a KV head's rows in out, in rows of 512. */
  __device__ int64_t firstRow(int request, int kvHead) const {
    return static_cast<int64_t>(request) * queryTokens * headsQ() + kvHead * headsPerKv;
  }
  /** The same in lse. */
  __device__ int64_t firstLse(int request, int kvHead) const {
    return (static_cast<int64_t>(request) * headsQ() + kvHead * headsPerKv) * queryTokens;
  }
  /** Mask row of a query token; only with a tree mask. */
  __device__ const int32_t* treeRow(int request, int token) const {
    if (queryOf != nullptr) request = queryOf[request];
    return treeMask + (static_cast<int64_t>(request) * queryTokens + token) * ((queryTokens + 31) / 32);
  }
  /** Keys that a token sees, the first ones of the request; may be negative. A tree mask hides some of them. */
  __device__ int visibleKeys(int length, int token) const {
    return causal ? length - (queryTokens - 1 - token) : length;
  }
};

/** What a launch of a dense decode kernel takes besides. */
struct DecodeLaunch {
  int partitions;  ///< rows of the schedule
  int batch;
  int headDim;   ///< of q and the cache: 576, for few-rows also 512
  int rowBlock;  ///< of few-rows: query rows per CTA
  int64_t pages; ///< blocks of 64 tokens of all requests together, as far as is known: the results do not depend on it
};

}  // namespace polymla
