#pragma once
#include <cuda_fp16.h>

#include <optional>
#include <type_traits>

#include "../host/tensor-map.h"
#include "params.h"

namespace polymla {

/** How a kernel copies queries by boxes: rows of a KV head, and 64-column tiles of them. */
struct QueryBox {
  int rows;
  int tiles;
};

/** The map of `queries`, of which there are `requests`, in such boxes, where there is one. */
template <class T>
std::optional<CUtensorMap> queryMapOf(const QueryTensor<T>& queries, const DecodeParams<T>& params, int64_t requests, int headDim,
                                      const QueryBox& box) {
  const QueryShape shape{queries.q,
                         !std::is_same_v<T, __half>,
                         requests,
                         params.queryTokens,
                         params.headsQ(),
                         params.headsPerKv,
                         headDim,
                         queries.requestStride * static_cast<int64_t>(sizeof(T)),
                         queries.tokenStride * static_cast<int64_t>(sizeof(T)),
                         queries.headStride * static_cast<int64_t>(sizeof(T))};
  return queryTensorMap(shape, box.rows, box.tiles);
}

}  // namespace polymla
