#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include "../host/tensor-map.h"
#include "params.h"
#include "query-box.h"

namespace polymla {

/** Rows of the schedule that fill `sms` multiprocessors once. */
int manyRowsPartitions(int rows, int headsKv, int sms);

/**
 * The cache as the kernel copies it: boxes of several 64-column tiles and of one, for pages of fewer than 64 tokens both of one.
 *
 * @throws std::invalid_argument for a page size other than 16, 32 and multiples of 64
 */
CacheMaps manyRowsMaps(const CacheShape& cache);

/** The boxes of queries that it takes. */
constexpr QueryBox manyRowsQueryBox{64, 2};

/**
 * Enqueues dense decode with many query rows per KV head. At most manyRowsPartitions partitions.
 *
 * @throws CudaError, std::invalid_argument
 */
template <class T>
void launchManyRows(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream);

}  // namespace polymla
