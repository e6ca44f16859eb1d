#pragma once
#include "params.h"

namespace polymla {

/** Where a row of a KV head lies, from DecodeParams::firstRow, firstLse and firstQuery on. Kept in a table: it takes a division. */
struct RowPlaces {
  int out;  ///< in rows
  int lse;
  int token;

  template <class T>
  static __device__ RowPlaces of(const DecodeParams<T>& params, int row) {
    const int token = row / params.headsPerKv;
    const int head = row - token * params.headsPerKv;
    return {token * params.headsQ() + head, head * params.queryTokens + token, token};
  }

  /** In elements. */
  template <class T>
  __device__ int64_t query(const DecodeParams<T>& params) const {
    const int head = out - token * params.headsQ();
    return token * params.queries->tokenStride + head * params.queries->headStride;
  }
};

}  // namespace polymla
