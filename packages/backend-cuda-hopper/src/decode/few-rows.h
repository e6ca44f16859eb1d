#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include "../host/tensor-map.h"
#include "params.h"
#include "query-box.h"
#include "row-block.h"

namespace polymla {

/** The cache as the kernel copies it: in groups of 8 tokens, see cacheGroupMap. */
CacheMaps fewRowsMaps(const CacheShape& cache);

/** The boxes of queries that it takes. */
inline QueryBox fewRowsQueryBox(int rowBlock, int headDim) { return {rowBlock < 64 ? rowBlock : 32, headDim / tileColumns}; }

/**
 * Enqueues dense decode with few query rows per KV head; rows beyond shape.rowBlock make CTAs that read the cache once each. At
 * most fewRowsPartitions partitions, or 1.
 *
 * @throws CudaError, std::invalid_argument
 */
template <class T>
void launchFewRows(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream);

}  // namespace polymla
