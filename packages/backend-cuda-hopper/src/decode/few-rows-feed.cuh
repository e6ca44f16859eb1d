#pragma once
#include "../ptx/dependent-launch.cuh"
#include "../ptx/mbarrier.cuh"
#include "../ptx/tma.cuh"
#include "few-rows-shared.cuh"

namespace polymla {

/** What a page of the cache is of the 64 tokens that are multiplied at once. */
enum class PageForm { one, several, part };

/** The warp of the few-rows kernel that streams pages. */
template <class T, int N, int HeadDim>
struct FewRowsFeed : FewRows<T, N, HeadDim> {
  using Base = FewRows<T, N, HeadDim>;
  using typename Base::Cursor;
  using typename Base::Ring;
  using typename Base::Shared;

  /** Queries into L2: behind the pages of the piece before they would take as long as the whole ring does. */
  static __device__ __forceinline__ void prefetchQuery(const DecodeParams<T>& params, int request) {
    if (params.hasQueryMap && threadIdx.x % 32 == 0) ptx::prefetchTensorMap(&params.queries->map);
#pragma unroll 1
    for (int row = threadIdx.x % 32; row < N; row += 32) {
      const int inHead = blockIdx.y * N + row;
      if (inHead >= params.rows()) return;
      ptx::prefetchL2(params.firstQuery(request, blockIdx.z) + RowPlaces::of(params, inHead).query(params), HeadDim * sizeof(T));
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
  template <PageForm Form>
  static __device__ __forceinline__ int partsLog2(const DecodeParams<T>& params) {
    return Form == PageForm::part ? 1 + (params.pageSize < 32) : 0;
  }

  template <PageForm Form>
  static __device__ __forceinline__ Batch fetch(const DecodeParams<T>& params, int request, int begin) {
    int entry = (begin << partsLog2<Form>(params)) + threadIdx.x % 32;
    if (Form == PageForm::several) entry /= params.pageSize / pageTokens;
    const int32_t* table = params.blockTable + static_cast<int64_t>(request) * params.blockTableStride;
    return {request, begin, params.lengths[request], entry < params.blockTableStride ? table[entry] : -1};
  }

  /** Block `index` of the batch. */
  template <PageForm Form>
  static __device__ __forceinline__ void load(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared,
                                              const Cursor& page, uint64_t policy, const Batch& batch, int index) {
    const int log2 = partsLog2<Form>(params);
    const int quarter = threadIdx.x % 4;
    const int part = (index << log2) + (Form == PageForm::part ? (quarter << log2) / 4 : 0);
    int id = __shfl_sync(~0u, batch.id, part);
    int group = 0;
    if (Form == PageForm::several) {
      group = (batch.begin + index) % (params.pageSize / pageTokens) * (pageTokens / cacheGroupTokens);
    }
    // Entries past the length are not the request's.
    if (Form == PageForm::part && ((batch.begin << log2) + part) * params.pageSize >= params.lengthFrom(batch.stored)) id = -1;
    Ring::load(shared.ring, shared.barriers, page, map, policy, log2, id, group, blockIdx.z, params.pages);
  }

  /** Block 0 of the first batch of all. */
  template <PageForm Form>
  static __device__ __forceinline__ void loadFirst(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared, uint64_t policy,
                                                   const Batch& batch) {
    if (Form == PageForm::part) return load<Form>(map, params, shared, Cursor{}, policy, batch, 0);
    const int group = Form == PageForm::several ? batch.begin % (params.pageSize / pageTokens) * (pageTokens / cacheGroupTokens) : 0;
    if (threadIdx.x % 32 == 0) Ring::loadFirst(shared.ring, shared.barriers, map, policy, batch.id, group, blockIdx.z, params.pages);
    __syncwarp();
  }

  static __device__ void produce(const DecodeParams<T>& params, Shared& shared) {
    const int lane = threadIdx.x % 32;
    const CUtensorMap* const map = &params.cache->box;
    if (lane == 0) ptx::prefetchTensorMap(map);
    const ScheduleGuess::Begin guess = params.guess.begin(blockIdx.x);
    ptx::awaitEarlierKernels();
    ScheduleRow row = params.schedule[blockIdx.x];
    Batch first{-1, 0, 0, 0};
    if (guess.request >= 0) {
      first = fetch<PageForm::one>(params, guess.request, guess.page);
      // By one CTA for all that will ask for them: they would wait for each other.
      if (guess.page == 0 && lane == 0 && params.hasQueryMap) {
        prefetchQueryBox(params, QueryPlace::of(params, blockIdx.y * N, blockIdx.z), guess.request);
      }
    }
    Base::awaitBarriers();
    // Copies of their own, so that the usual form has no code of the others on its way.
    if (params.pageSize == pageTokens) {
      stream<PageForm::one>(map, params, shared, row, first);
    } else if (params.pageSize > pageTokens) {
      stream<PageForm::several>(map, params, shared, row, first);
    } else {
      stream<PageForm::part>(map, params, shared, row, first);
    }
    ptx::allowNextKernel();
  }

 private:
  /** @param batch a guess of the first one */
  template <PageForm Form>
  static __device__ __forceinline__ void stream(const CUtensorMap* map, const DecodeParams<T>& params, Shared& shared, ScheduleRow& row,
                                                Batch batch) {
    const int blocks = 32 >> partsLog2<Form>(params);
    // The compiler would have it waited for ahead of the choice between the forms.
    asm volatile("" : "+r"(row.beginRequest), "+r"(row.endRequest), "+r"(row.beginPage), "+r"(row.endPage));
    if (row.beginRequest > row.endRequest) return;
    if (Form != PageForm::one || batch.request != row.beginRequest || batch.begin != row.beginPage) {
      batch = fetch<Form>(params, row.beginRequest, row.beginPage);
    }
    const bool brief = row.beginRequest == row.endRequest && row.endPage - row.beginPage <= briefPages;
    const uint64_t policy = ptx::cachePolicy(brief ? ptx::Keep::least : ptx::Keep::usual);
    Cursor page;
    const auto endOf = [&](const Batch& batch) {
      return batch.request == row.endRequest ? row.endPage : params.pagesOf(params.lengthFrom(batch.stored));
    };
    int end = endOf(batch);
    int index = 0;
    // Apart from the loop, whose preparations would delay it.
    if (batch.begin < end) {
      loadFirst<Form>(map, params, shared, policy, batch);
      page.nextPage();
      index = 1;
    }
#pragma unroll 1
    while (true) {
      // A batch ahead, for a load takes as long as the whole ring.
      Batch next{batch.request + 1, 0, 0, 0};
      if (batch.begin + blocks < end) {
        next = fetch<Form>(params, batch.request, batch.begin + blocks);
      } else if (batch.request < row.endRequest) {
        next = fetch<Form>(params, batch.request + 1, 0);
        prefetchQuery(params, batch.request + 1);
      }
      const int count = min(blocks, end - batch.begin);
#pragma unroll 1
      for (; index < count; index++) {
        load<Form>(map, params, shared, page, policy, batch, index);
        page.nextPage();
      }
      if (next.request > row.endRequest) return;
      batch = next;
      end = endOf(batch);
      index = 0;
    }
  }
};

}  // namespace polymla
