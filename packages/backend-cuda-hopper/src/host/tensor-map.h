#pragma once
#include <cuda.h>

#include <cstdint>
#include <optional>

namespace polymla {

/** Where a paged bf16 or fp16 cache [pages, pageSize, headsKv, headDim] lies, a token's heads side by side; strides in bytes, multiples of 16. */
struct CacheShape {
  const void* data;
  bool bf16;
  int64_t pages;
  int pageSize;
  int headsKv;
  int headDim;
  int64_t pageStride;
  int64_t tokenStride;
};

/**
 * Tensor map of the cache as (64 columns, token, column tile, KV head, page), whose box is `tiles` 64-column tiles of
 * `tokens` tokens: in shared memory one 128-byte-swizzled tile after the other. Pages outside the cache read as zeros.
 *
 * @throws std::runtime_error when the driver lacks the call or refuses the layout
 */
CUtensorMap cacheTensorMap(const CacheShape& cache, int tokens, int tiles);

/** Tokens of a group of cacheGroupMap: the rows after which the swizzle of 128 bytes begins again. */
constexpr int cacheGroupTokens = 8;

/**
 * Tensor map of the cache as (64 columns, token of a group, column tile of all KV heads, group of 8 tokens, page), whose box is all
 * `headDim` columns of a KV head's `tokens` tokens, a multiple of 8: in shared memory group after group, and in a group one
 * 128-byte-swizzled tile of 8 rows after the other. Pages outside the cache read as zeros.
 *
 * @throws std::runtime_error as cacheTensorMap
 */
CUtensorMap cacheGroupMap(const CacheShape& cache, int tokens);

/** Where bf16 or fp16 queries [requests, tokens, heads, headDim] lie; strides in bytes, multiples of 16. */
struct QueryShape {
  const void* data;
  bool bf16;
  int64_t requests;
  int tokens;
  int heads;
  int headsPerKv;  ///< row s · headsPerKv + h of a KV head is token s, head h of its group
  int headDim;
  int64_t requestStride;
  int64_t tokenStride;
  int64_t headStride;
};

/**
 * Tensor map of the queries as (64 columns, head, token, column tile, request), whose box is `tiles` 64-column tiles of `rows`
 * rows of a KV head: in shared memory one 128-byte-swizzled tile after the other, zeros for what is not there.
 *
 * @returns nothing where such rows are no box, as with 24 heads, or where the driver takes no such strides
 */
std::optional<CUtensorMap> queryTensorMap(const QueryShape& queries, int rows, int tiles);

}  // namespace polymla
