#pragma once
#include "../src/decode/params.h"
#include "../src/decode/row-places.cuh"
#include "../src/host/tensor-map.h"

namespace polymla::test {

constexpr int oracleThreads = 256;

/** A row's query and the weights of the keys in work. */
struct OracleShared {
  double q[queryDim];
  double weights[oracleThreads];
};

/**
 * Dense decode in double precision, one CTA per query row, plain loads, no splits: what the fast kernels are compared
 * with. Grid: rows × headsKv × batch. Reads exactly the keys that a row sees; table entries outside the cache hide a page.
 *
 * @param cache of type T
 * @param out double, laid out as params.out; `lse` as params.lse
 */
template <class T>
__global__ void __launch_bounds__(oracleThreads) oracleDecode(const DecodeParams<T> params, const CacheShape cache, double scale,
                                                              double* out, double* lse) {
  __shared__ OracleShared shared;
  const int row = blockIdx.x;
  const int kvHead = blockIdx.y;
  const int request = blockIdx.z;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const RowPlaces place = RowPlaces::of(params, row);
  const int64_t rowAt = params.firstRow(request, kvHead) + place.out;
  for (int dim = threadIdx.x; dim < cache.headDim; dim += oracleThreads) {
    shared.q[dim] = static_cast<double>(static_cast<float>(params.firstQuery(request, kvHead)[place.query(params) + dim]));
  }
  __syncthreads();
  const int length = params.lengthOf(request);
  // Of a split that is a request of its own, the keys past its pages are another's.
  const int64_t held = static_cast<int64_t>(params.pagesOf(length)) * pageTokens;
  const int visible = static_cast<int>(min(static_cast<int64_t>(params.visibleKeys(length, place.token)), held));
  const int32_t* table = params.blockTable + static_cast<int64_t>(request) * params.blockTableStride;
  const auto isHidden = [&](int token) {
    const int bit = token - (length - params.queryTokens);
    return params.treeMask && bit >= 0 && (params.treeRow(request, place.token)[bit / 32] >> bit % 32 & 1) == 0;
  };
  const auto keyOf = [&](int token) -> const T* {
    if (isHidden(token)) return nullptr;
    const int page = table[token / cache.pageSize];
    if (page < 0 || page >= cache.pages) return nullptr;
    return reinterpret_cast<const T*>(static_cast<const uint8_t*>(cache.data) + page * cache.pageStride +
                                      token % cache.pageSize * cache.tokenStride + kvHead * cache.headDim * static_cast<int64_t>(sizeof(T)));
  };
  double max = -INFINITY;
  double sum = 0;
  double value[2] = {0, 0};
  for (int base = 0; base < visible; base += oracleThreads) {
    const int count = min(oracleThreads, visible - base);
    for (int index = warp; index < count; index += oracleThreads / 32) {
      const T* key = keyOf(base + index);
      double dot = 0;
      for (int dim = lane; key && dim < cache.headDim; dim += 32) dot += shared.q[dim] * static_cast<double>(static_cast<float>(key[dim]));
      for (int step = 16; step > 0; step /= 2) dot += __shfl_xor_sync(~0u, dot, step);
      if (lane == 0) shared.weights[index] = key ? dot * scale : -INFINITY;
    }
    __syncthreads();
    double chunkMax = max;
    for (int index = 0; index < count; index++) chunkMax = fmax(chunkMax, shared.weights[index]);
    __syncthreads();
    if (chunkMax > -INFINITY) {
      if (static_cast<int>(threadIdx.x) < count) shared.weights[threadIdx.x] = exp(shared.weights[threadIdx.x] - chunkMax);
      __syncthreads();
      const double shrink = exp(max - chunkMax);
      sum *= shrink;
      value[0] *= shrink;
      value[1] *= shrink;
      for (int index = 0; index < count; index++) {
        const double weight = shared.weights[index];
        const T* key = keyOf(base + index);
        if (!key) continue;
        sum += weight;
        value[0] += weight * static_cast<double>(static_cast<float>(key[threadIdx.x]));
        value[1] += weight * static_cast<double>(static_cast<float>(key[threadIdx.x + oracleThreads]));
      }
      max = chunkMax;
      __syncthreads();
    }
  }
  const int64_t at = rowAt * valueDim + threadIdx.x;
  out[at] = sum > 0 ? value[0] / sum : 0;
  out[at + oracleThreads] = sum > 0 ? value[1] / sum : 0;
  if (threadIdx.x == 0) lse[params.firstLse(request, kvHead) + place.lse] = sum > 0 ? max + log(sum) : INFINITY;
}

}  // namespace polymla::test
