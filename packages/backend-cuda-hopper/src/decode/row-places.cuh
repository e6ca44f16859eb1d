#pragma once
#include "params.h"

namespace polymla {

/** Where a row of a KV head lies, from DecodeParams::firstRow and firstLse on. Kept in a table: it takes a division. */
struct RowPlaces {
  int out;  ///< in rows, of q and out
  int lse;
  int token;

  template <class T>
  static __device__ RowPlaces of(const DecodeParams<T>& params, int row) {
    const int token = row / params.headsPerKv;
    const int head = row - token * params.headsPerKv;
    return {token * params.headsQ + head, head * params.queryTokens + token, token};
  }
};

}  // namespace polymla
