#include "tensor-map.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "cuda-check.h"

namespace polymla {
namespace {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

/** The driver's function, looked up by name: the library must load where no libcuda exists. */
EncodeTiled encodeTiled() {
  static const EncodeTiled function = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult status;
    POLYMLA_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &status));
    if (status != cudaDriverEntryPointSuccess) {
      throw std::runtime_error("The CUDA driver has no cuTensorMapEncodeTiled: version 12.0 or later is needed");
    }
    return reinterpret_cast<EncodeTiled>(entry);
  }();
  return function;
}

constexpr int rank = 5;
constexpr int tileColumns = 64;
constexpr cuuint64_t tileBytes = tileColumns * 2;

/** A map of 16-bit numbers in 128-byte-swizzled boxes of 64 columns. `strides` are of all dimensions but the first. */
CUresult encode(CUtensorMap& map, bool bf16, const void* data, const cuuint64_t (&sizes)[rank], const cuuint64_t (&strides)[rank - 1],
                const cuuint32_t (&box)[rank]) {
  const cuuint32_t steps[rank] = {1, 1, 1, 1, 1};
  // No L2 promotion: 256 bytes lower the bandwidth of randomly placed pages by 9% (measured on an H200), 128 gain nothing.
  return encodeTiled()(&map, bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank,
                       const_cast<void*>(data), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                       CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

CUtensorMap encodeCache(const CacheShape& cache, const cuuint64_t (&sizes)[rank], const cuuint64_t (&strides)[rank - 1],
                        const cuuint32_t (&box)[rank]) {
  CUtensorMap map;
  const CUresult result = encode(map, cache.bf16, cache.data, sizes, strides, box);
  if (result != CUDA_SUCCESS) {
    throw std::runtime_error("cuTensorMapEncodeTiled refused the cache layout, CUresult " + std::to_string(result));
  }
  return map;
}

}  // namespace

CUtensorMap cacheTensorMap(const CacheShape& cache, int tokens, int tiles) {
  const cuuint64_t sizes[rank] = {tileColumns, static_cast<cuuint64_t>(cache.pageSize),
                                  static_cast<cuuint64_t>(cache.headDim / tileColumns),
                                  static_cast<cuuint64_t>(cache.headsKv), static_cast<cuuint64_t>(cache.pages)};
  const cuuint64_t strides[rank - 1] = {static_cast<cuuint64_t>(cache.tokenStride), tileBytes,
                                        static_cast<cuuint64_t>(cache.headDim) * 2,
                                        static_cast<cuuint64_t>(cache.pageStride)};
  const cuuint32_t box[rank] = {tileColumns, static_cast<cuuint32_t>(tokens), static_cast<cuuint32_t>(tiles), 1, 1};
  return encodeCache(cache, sizes, strides, box);
}

CUtensorMap cacheGroupMap(const CacheShape& cache, int tokens) {
  const int tiles = cache.headDim / tileColumns;
  const cuuint64_t sizes[rank] = {tileColumns, cacheGroupTokens, static_cast<cuuint64_t>(tiles * cache.headsKv),
                                  static_cast<cuuint64_t>(cache.pageSize / cacheGroupTokens), static_cast<cuuint64_t>(cache.pages)};
  const cuuint64_t strides[rank - 1] = {static_cast<cuuint64_t>(cache.tokenStride), tileBytes,
                                        static_cast<cuuint64_t>(cache.tokenStride * cacheGroupTokens),
                                        static_cast<cuuint64_t>(cache.pageStride)};
  const cuuint32_t box[rank] = {tileColumns, cacheGroupTokens, static_cast<cuuint32_t>(tiles),
                                static_cast<cuuint32_t>(tokens / cacheGroupTokens), 1};
  return encodeCache(cache, sizes, strides, box);
}

std::optional<CUtensorMap> queryTensorMap(const QueryShape& queries, int rows, int tiles) {
  const int heads = std::min(rows, queries.headsPerKv);
  if (rows % heads != 0 || queries.headsPerKv % heads != 0) return std::nullopt;
  const cuuint64_t sizes[rank] = {tileColumns, static_cast<cuuint64_t>(queries.heads), static_cast<cuuint64_t>(queries.tokens),
                                  static_cast<cuuint64_t>(queries.headDim / tileColumns), static_cast<cuuint64_t>(queries.requests)};
  // The stride of a dimension of one element says nothing, and need not be one that the driver takes.
  const auto strideOf = [](int64_t count, int64_t stride) { return count > 1 ? static_cast<cuuint64_t>(stride) : tileBytes; };
  const cuuint64_t strides[rank - 1] = {strideOf(queries.heads, queries.headStride), strideOf(queries.tokens, queries.tokenStride),
                                        tileBytes, strideOf(queries.requests, queries.requestStride)};
  const cuuint32_t box[rank] = {tileColumns, static_cast<cuuint32_t>(heads), static_cast<cuuint32_t>(rows / heads),
                                static_cast<cuuint32_t>(tiles), 1};
  CUtensorMap map;
  if (encode(map, queries.bf16, queries.data, sizes, strides, box) != CUDA_SUCCESS) return std::nullopt;
  return map;
}

}  // namespace polymla
