#pragma once
#include "../ptx/dependent-launch.cuh"
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** The warp of the few-rows kernel that streams pages. */
template <class T, int N, int HeadDim>
struct FewRowsFeed : FewRows<T, N, HeadDim> {
  using Base = FewRows<T, N, HeadDim>;
  using typename Base::Cursor;
  using typename Base::Ring;
  using typename Base::Shared;
  using Base::consumerWarps;

  /** Queries into L2: behind the pages of the piece before they would take as long as the whole ring does. */
  static __device__ __forceinline__ void prefetchQuery(const DecodeParams<T>& params, int request) {
#pragma unroll 1
    for (int row = threadIdx.x % 32; row < N; row += 32) {
      const int inHead = blockIdx.y * N + row;
      if (inHead >= params.rows()) return;
      ptx::prefetchL2(params.firstQuery(request, blockIdx.z) + RowPlaces::of(params, inHead).query, HeadDim * sizeof(T));
    }
  }

  /** Up to 32 table entries of one request, one a lane. */
  struct Batch {
    int request;
    int begin;   ///< first block of 64 tokens
    int stored;  ///< the request's length, as it is in memory
    int id;      ///< of this lane's page; bounded by the table's width, since the length arrives no earlier
  };

  /** Of the number of pages that hold 64 tokens: 2, 1 or 0. */
  static __device__ __forceinline__ int partsLog2(const DecodeParams<T>& params) {
    return (params.pageSize < 64) + (params.pageSize < 32);
  }

  static __device__ __forceinline__ Batch fetch(const DecodeParams<T>& params, int request, int begin) {
    int entry = (begin << partsLog2(params)) + threadIdx.x % 32;
    if (__builtin_expect(params.pageSize > pageTokens, 0)) entry /= params.pageSize / pageTokens;
    const int32_t* table = params.blockTable + static_cast<int64_t>(request) * params.blockTableStride;
    return {request, begin, params.lengths[request], entry < params.blockTableStride ? table[entry] : -1};
  }

  /** Block `index` of the batch. */
  static __device__ __forceinline__ void load(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared,
                                              const Cursor& page, uint64_t policy, const Batch& batch, int index) {
    const int lane = threadIdx.x % 32;
    if (__builtin_expect(params.pageSize >= pageTokens, 1)) {
      const int id = __shfl_sync(~0u, batch.id, index);
      int token = 0;
      if (__builtin_expect(params.pageSize > pageTokens, 0)) {
        token = (batch.begin + index) % (params.pageSize / pageTokens) * pageTokens;
      }
      Ring::load(shared.ring, shared.barriers, page, map, policy, id, token, blockIdx.z, params.pages);
    } else {
      const int log2 = partsLog2(params);
      const int part = (index << log2) + (lane << log2) / 4;
      const int id = __shfl_sync(~0u, batch.id, part);
      const bool inside = ((batch.begin << log2) + part) * params.pageSize < params.lengthFrom(batch.stored);
      Ring::loadParts(shared.ring, shared.barriers, page, map, policy, 1 << log2, inside ? id : -1, blockIdx.z, params.pages);
    }
  }

  static __device__ void produce(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared) {
    const int lane = threadIdx.x % 32;
    if (lane == 0) ptx::prefetchTensorMap(map);
    ptx::awaitEarlierKernels();
    const ScheduleRow row = params.schedule[blockIdx.x];
    Base::awaitBarriers();
    const int blocks = 32 >> partsLog2(params);
    const bool brief = row.beginRequest == row.endRequest && row.endPage - row.beginPage <= briefPages;
    const uint64_t policy = ptx::cachePolicy(brief ? ptx::Keep::least : ptx::Keep::usual);
    Cursor page;
    Batch next{row.beginRequest, row.beginPage, 0, 0};
    if (row.beginRequest <= row.endRequest) next = fetch(params, row.beginRequest, row.beginPage);
#pragma unroll 1
    while (next.request <= row.endRequest) {
      const Batch batch = next;
      const int end = batch.request == row.endRequest ? row.endPage : params.pagesOf(params.lengthFrom(batch.stored));
      const int count = min(blocks, end - batch.begin);
#pragma unroll 1
      for (int index = 0; index == 0 || index < count; index++) {
        if (index < count) {
          load(map, params, shared, page, policy, batch, index);
          page.nextPage();
        }
        if (index > 0) continue;
        // After the first block, which nothing should delay; a batch ahead, for a load takes as long as the whole ring.
        if (batch.begin + blocks < end) {
          next = fetch(params, batch.request, batch.begin + blocks);
        } else if (batch.request < row.endRequest) {
          next = fetch(params, batch.request + 1, 0);
          prefetchQuery(params, batch.request + 1);
        } else {
          next.request = batch.request + 1;
        }
      }
    }
    ptx::allowNextKernel();
  }
};

}  // namespace polymla
