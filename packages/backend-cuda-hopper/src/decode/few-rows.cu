#include "few-rows.cuh"

#include <stdexcept>
#include <string>

#include "../host/device-kernel.h"
#include "few-rows.h"

namespace polymla {
namespace {

constexpr int largeBatch = 24;

template <class T, int N, int HeadDim>
void launch(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
  using Kernel = FewRows<T, N, HeadDim>;
  static_assert(sizeof(typename Kernel::Shared) <= 232448, "shared memory of a CTA on sm_90");
  if (shape.partitions < 1 || shape.partitions > mostFewRowsPartitions) {
    throw std::invalid_argument("Few-rows decode takes 1 to " + std::to_string(mostFewRowsPartitions) +
                                " partitions, found " + std::to_string(shape.partitions));
  }
  static DeviceKernel kernel(fewRowsDecode<T, N, HeadDim>, sizeof(typename Kernel::Shared));
  const dim3 grid(shape.partitions, (params.rows() + N - 1) / N, params.headsKv);
  const bool cooperative = params.awaitsOthers(shape.partitions);
  // Clusters of two where neighbours read the same pages, which come from one part of L2 then. Clusters of one are placed
  // otherwise: where the last CTAs are idle, as with 128 requests, 1.5% faster; for small batches up to 2% slower (measured).
  const unsigned clusterRows = grid.y % 2 == 0 ? 2 : shape.batch >= largeBatch ? 1 : 0;
  kernel.launch({grid, Kernel::ctaThreads, cooperative, clusterRows}, stream, params);
}

template <class T, int HeadDim>
void launchFor(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
  switch (shape.rowBlock) {
    case 16:
      return launch<T, 16, HeadDim>(params, shape, stream);
    case 32:
      return launch<T, 32, HeadDim>(params, shape, stream);
    case 64:
      return launch<T, 64, HeadDim>(params, shape, stream);
    default:
      throw std::invalid_argument("Few-rows decode takes blocks of 16, 32 or 64 rows, found " + std::to_string(shape.rowBlock));
  }
}

}  // namespace

CacheMaps fewRowsMaps(const CacheShape& cache) {
  const bool whole = cache.pageSize >= pageTokens && cache.pageSize % pageTokens == 0;
  if (!whole && cache.pageSize != 32 && cache.pageSize != 16) {
    throw std::invalid_argument("Few-rows decode takes pages of 16, 32 or a multiple of 64 tokens, found " +
                                std::to_string(cache.pageSize));
  }
  return {cacheGroupMap(cache, whole ? pageTokens : cache.pageSize), {}};
}

template <class T>
void launchFewRows(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
  if (shape.batch == 0 || params.queryTokens == 0) return;
  shape.headDim == 512 ? launchFor<T, 512>(params, shape, stream) : launchFor<T, 576>(params, shape, stream);
}

template void launchFewRows<__half>(const DecodeParams<__half>&, const DecodeLaunch&, cudaStream_t);
template void launchFewRows<__nv_bfloat16>(const DecodeParams<__nv_bfloat16>&, const DecodeLaunch&, cudaStream_t);

}  // namespace polymla
