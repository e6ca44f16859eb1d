#pragma once
#include <cuda.h>

#include <cstdint>

namespace polymla {

/** Where a paged bf16 or fp16 cache [pages, pageSize, headsKv, headDim] lies; strides in bytes, multiples of 16. */
struct CacheShape {
  const void* data;
  bool bf16;
  int64_t pages;
  int pageSize;
  int headsKv;
  int headDim;
  int64_t pageStride;
  int64_t tokenStride;
  int64_t headStride;
};

/**
 * Tensor map of the cache as (64 columns, token, column tile, KV head, page), whose box is `tiles` 64-column tiles of
 * `tokens` tokens: in shared memory one 128-byte-swizzled tile after the other. Pages outside the cache read as zeros.
 *
 * @throws std::runtime_error when the driver lacks the call or refuses the layout
 */
CUtensorMap cacheTensorMap(const CacheShape& cache, int tokens, int tiles);

}  // namespace polymla
