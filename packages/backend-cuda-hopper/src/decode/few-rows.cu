#include "few-rows.cuh"

#include <stdexcept>
#include <string>

#include "../host/device-kernel.h"
#include "few-rows.h"

namespace polymla {
namespace {

constexpr int largeBatch = 24;

template <class T, int N, int HeadDim>
void launch(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  using Kernel = FewRows<T, N, HeadDim>;
  static_assert(sizeof(typename Kernel::Shared) <= 232448, "shared memory of a CTA on sm_90");
  if (partitions < 1 || partitions > mostFewRowsPartitions) {
    throw std::invalid_argument("Few-rows decode takes 1 to " + std::to_string(mostFewRowsPartitions) +
                                " partitions, found " + std::to_string(partitions));
  }
  static DeviceKernel kernel(fewRowsDecode<T, N, HeadDim>, sizeof(typename Kernel::Shared));
  const dim3 grid(partitions, (params.rows() + N - 1) / N, params.headsKv);
  const bool cooperative = params.awaitsOthers(partitions);
  // Clusters of two where neighbours read the same pages, which come from one part of L2 then. Clusters of one are placed
  // otherwise: where the last CTAs are idle, as with 128 requests, 1.5% faster; for small batches up to 2% slower (measured).
  const unsigned clusterRows = grid.y % 2 == 0 ? 2 : params.batch >= largeBatch ? 1 : 0;
  kernel.launch({grid, Kernel::ctaThreads, cooperative, clusterRows}, stream, map, params);
}

template <class T, int HeadDim>
void launchFor(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  switch (params.rowBlock) {
    case 16:
      return launch<T, 16, HeadDim>(map, params, partitions, stream);
    case 32:
      return launch<T, 32, HeadDim>(map, params, partitions, stream);
    case 64:
      return launch<T, 64, HeadDim>(map, params, partitions, stream);
    default:
      throw std::invalid_argument("Few-rows decode takes blocks of 16, 32 or 64 rows, found " + std::to_string(params.rowBlock));
  }
}

}  // namespace

CUtensorMap fewRowsMap(const CacheShape& cache) {
  const bool whole = cache.pageSize >= pageTokens && cache.pageSize % pageTokens == 0;
  if (!whole && cache.pageSize != 32 && cache.pageSize != 16) {
    throw std::invalid_argument("Few-rows decode takes pages of 16, 32 or a multiple of 64 tokens, found " +
                                std::to_string(cache.pageSize));
  }
  return cacheGroupMap(cache, whole ? pageTokens : cache.pageSize);
}

template <class T>
void launchFewRows(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  if (params.batch == 0 || params.queryTokens == 0) return;
  params.headDim == 512 ? launchFor<T, 512>(map, params, partitions, stream) : launchFor<T, 576>(map, params, partitions, stream);
}

template void launchFewRows<__half>(const CUtensorMap&, const DecodeParams<__half>&, int, cudaStream_t);
template void launchFewRows<__nv_bfloat16>(const CUtensorMap&, const DecodeParams<__nv_bfloat16>&, int, cudaStream_t);

}  // namespace polymla
