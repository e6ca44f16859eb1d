#pragma once
#include "../ptx/tma.cuh"
#include "params.h"

namespace polymla {

/** Where the box of a CTA's queries begins, for a kernel whose boxes have `Rows` rows (QueryBox). */
struct QueryPlace {
  int head;
  int token;

  /** Of row `first` of a KV head, a multiple of Rows. */
  template <class T>
  static __device__ __forceinline__ QueryPlace of(const DecodeParams<T>& params, int first, int kvHead) {
    const int token = first == 0 ? 0 : first / params.headsPerKv;
    return {kvHead * params.headsPerKv + first - token * params.headsPerKv, token};
  }
};

/** Copies a box of queries, from tile `tile` on, to `target`; completes on `full`, which must expect its bytes. By one thread. */
template <class T>
__device__ __forceinline__ void loadQueryBox(const DecodeParams<T>& params, uint8_t* target, ptx::MBarrier& full, const QueryPlace& place,
                                             int request, int tile) {
  if (params.queryOf != nullptr) request = params.queryOf[request];
  ptx::loadBox(target, &params.queries->map, full, 0, place.head, place.token, tile, request);
}

/** Brings the first box of a request's own queries into L2, by one thread. */
template <class T>
__device__ __forceinline__ void prefetchQueryBox(const DecodeParams<T>& params, const QueryPlace& place, int request) {
  ptx::prefetchBox(&params.queries->map, 0, place.head, place.token, 0, request);
}

}  // namespace polymla
