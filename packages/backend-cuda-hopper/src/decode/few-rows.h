#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include "../host/tensor-map.h"
#include "params.h"

namespace polymla {

/** Query rows of one CTA for so many rows per KV head: 16 or 32. */
int fewRowsBlock(int rows);

/** The map of the cache that the kernel takes. */
CUtensorMap fewRowsMap(const CacheShape& cache);

/**
 * Enqueues dense decode with few query rows per KV head; more than 32 rows make CTAs that read the cache once each.
 *
 * @param partitions rows of params.schedule, at most SMs / headsKv / row blocks, or 1
 * @throws CudaError, std::invalid_argument
 */
template <class T>
void launchFewRows(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream);

}  // namespace polymla
