#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include "../host/tensor-map.h"
#include "params.h"
#include "query-box.h"

namespace polymla {

/** Rows of the schedule that fill `sms` multiprocessors once. */
int manyRowsPartitions(int rows, int headsKv, int sms);

/** Maps of the cache: boxes of several 64-column tiles and of one; for pages of fewer than 64 tokens both of
 * one. */
struct ManyRowsMaps {
  CUtensorMap box;
  CUtensorMap tile;
};

/**
 * The maps of the cache that the kernel takes.
 *
 * @throws std::invalid_argument for a page size other than 16, 32 and multiples of 64
 */
ManyRowsMaps manyRowsMaps(const CacheShape& cache);

/** The boxes of queries that it takes. */
constexpr QueryBox manyRowsQueryBox{64, 2};

/**
 * Enqueues dense decode with many query rows per KV head.
 *
 * @param partitions rows of params.schedule, at most manyRowsPartitions
 * @param pages blocks of 64 tokens of all requests together, as far as is known: the results do not depend on it
 * @throws CudaError, std::invalid_argument
 */
template <class T>
void launchManyRows(const ManyRowsMaps& maps, const DecodeParams<T>& params, int partitions, int64_t pages,
                    cudaStream_t stream);

}  // namespace polymla
