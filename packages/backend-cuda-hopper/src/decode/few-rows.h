#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include "../host/tensor-map.h"
#include "params.h"
#include "query-box.h"
#include "row-block.h"

namespace polymla {

/** The map of the cache that the kernel takes. */
CUtensorMap fewRowsMap(const CacheShape& cache);

/** The boxes of queries that it takes. */
inline QueryBox fewRowsQueryBox(int rowBlock, int headDim) { return {rowBlock < 64 ? rowBlock : 32, headDim / tileColumns}; }

/**
 * Enqueues dense decode with few query rows per KV head; rows beyond params.rowBlock make CTAs that read the cache once each.
 *
 * @param partitions rows of params.schedule, at most fewRowsPartitions, or 1
 * @throws CudaError, std::invalid_argument
 */
template <class T>
void launchFewRows(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream);

}  // namespace polymla
