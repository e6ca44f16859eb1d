#pragma once
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "../decode/few-rows.h"
#include "../decode/many-rows.h"

// What a decode plan asks of each kernel of src/decode, which it knows by this alone.

namespace polymla {

/** Most partitions of a launch, of either kernel. */
constexpr int64_t mostPartitions = 160;

constexpr int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/** Few query rows per KV head, or any number in blocks of `rowBlock`. */
struct FewRowsKernel {
  static int64_t partitions(int rows, int rowBlock, int headsKv, int multiprocessors) {
    return fewRowsPartitions(rows, rowBlock, headsKv, multiprocessors);
  }
  /** Rows of a KV head for which a split has room in scratch. */
  static int64_t scratchRows(int rows, int rowBlock) { return roundUp(rows, rowBlock); }

  static CacheMaps maps(const CacheShape& cache) { return fewRowsMaps(cache); }
  static QueryBox queryBox(int rowBlock, int headDim) { return fewRowsQueryBox(rowBlock, headDim); }
  template <class T>
  static void launch(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
    launchFewRows(params, shape, stream);
  }
};

/** Any number of query rows. */
struct ManyRowsKernel {
  static int64_t partitions(int rows, int headsKv, int multiprocessors) {
    return std::min<int64_t>(manyRowsPartitions(rows, headsKv, multiprocessors), mostPartitions);
  }
  static int64_t scratchRows(int rows) { return roundUp(rows, 64); }

  static CacheMaps maps(const CacheShape& cache) { return manyRowsMaps(cache); }
  static QueryBox queryBox(int, int) { return manyRowsQueryBox; }
  template <class T>
  static void launch(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
    launchManyRows(params, shape, stream);
  }
};

/** Counters of a launch, 0 before and after it; fewer than these are used. */
inline int64_t arrivalCounters(int64_t batch, int64_t headsKv, int64_t rows) { return batch * headsKv * roundUp(rows, 16) / 16; }

}  // namespace polymla
