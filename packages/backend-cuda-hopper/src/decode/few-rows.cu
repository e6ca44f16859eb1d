#include "few-rows.cuh"

#include <stdexcept>
#include <string>

#include "../host/cuda-check.h"
#include "few-rows.h"

namespace polymla {
namespace {

template <class T, int N>
void launch(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  using Kernel = FewRows<T, N>;
  static_assert(sizeof(typename Kernel::Shared) <= 232448, "shared memory of a CTA on sm_90");
  if (partitions < 1 || partitions > Kernel::Merge::maxSplits) {
    throw std::invalid_argument("Few-rows decode takes 1 to " + std::to_string(Kernel::Merge::maxSplits) +
                                " partitions, found " + std::to_string(partitions));
  }
  auto* kernel = fewRowsDecode<T, N>;
  static const bool prepared = [&] {
    POLYMLA_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(typename Kernel::Shared)));
    return true;
  }();
  static_cast<void>(prepared);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  // CTAs of a split request wait for one another: the launch must fail rather than leave some of them queued.
  attribute.val.cooperative = partitions > 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(partitions, (params.rows() + N - 1) / N, params.headsKv);
  config.blockDim = dim3(Kernel::threads);
  config.dynamicSmemBytes = sizeof(typename Kernel::Shared);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  POLYMLA_CUDA(cudaLaunchKernelEx(&config, kernel, map, params));
}

}  // namespace

int fewRowsBlock(int rows) { return rows <= 16 ? 16 : 32; }

CUtensorMap fewRowsMap(const CacheShape& cache) {
  const bool whole = cache.pageSize >= pageTokens && cache.pageSize % pageTokens == 0;
  if (!whole && cache.pageSize != 32 && cache.pageSize != 16) {
    throw std::invalid_argument("Few-rows decode takes pages of 16, 32 or a multiple of 64 tokens, found " +
                                std::to_string(cache.pageSize));
  }
  constexpr int tiles = FewRows<__nv_bfloat16, 16>::Ring::boxTiles;
  return whole ? cacheTensorMap(cache, pageTokens, tiles) : cacheTensorMap(cache, cache.pageSize, 1);
}

template <class T>
void launchFewRows(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  if (params.batch == 0 || params.queryTokens == 0) return;
  if (fewRowsBlock(params.rows()) == 16) {
    launch<T, 16>(map, params, partitions, stream);
  } else {
    launch<T, 32>(map, params, partitions, stream);
  }
}

template void launchFewRows<__half>(const CUtensorMap&, const DecodeParams<__half>&, int, cudaStream_t);
template void launchFewRows<__nv_bfloat16>(const CUtensorMap&, const DecodeParams<__nv_bfloat16>&, int, cudaStream_t);

}  // namespace polymla
