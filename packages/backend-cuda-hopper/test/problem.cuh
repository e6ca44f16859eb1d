#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <memory>
#include <string>
#include <vector>

#include "../src/decode/few-rows.h"
#include "../src/decode/many-rows.h"
#include "../src/host/cuda-check.h"
#include "../src/host/schedule.h"

namespace polymla::test {

/** Device memory that frees itself. */
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t count) : count_(count) { POLYMLA_CUDA(cudaMalloc(&data_, bytes() > 0 ? bytes() : 1)); }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    POLYMLA_CUDA(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { cudaFree(data_); }

  T* get() const { return data_; }
  size_t count() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }
  void fillBytes(int value) const { POLYMLA_CUDA(cudaMemset(data_, value, bytes())); }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    POLYMLA_CUDA(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

struct Shape {
  int queryTokens;
  int headsQ;
  int headsKv;
  std::vector<int32_t> lengths;
  bool causal;
  bool holes = false;  ///< some table entries inside the lengths lie outside the cache
  int pageSize = pageTokens;
  bool strided = false;  ///< gaps between pages, tokens, heads and query rows
  int64_t sparePages = 2;
  int headDim = queryDim;
  bool tree = false;  ///< random tree masks
  int rowBlock = -1;  ///< of the few-rows kernel; 0: the many-rows kernel, −1: the library's choice

  int rows() const { return queryTokens * headsQ / headsKv; }
  /** The choice; what the many-rows kernel does not take goes to the other one. */
  int chosenRowBlock() const;
  std::string describe() const;
};

/**
 * A decode problem on the device: random queries and keys (a tenth of a normal deviate, within ±1), pages in random
 * order. Tokens past the lengths, gaps and spare pages are NaN, unused table entries garbage.
 */
template <class T>
class ProblemOf {
 public:
  /** `fixedOverhead` −1: the cost model's choice. */
  ProblemOf(const Shape& shape, uint32_t seed, int partitions, int fixedOverhead);

  const Shape shape;
  const double scale;
  int64_t pages = 0;       ///< in use
  std::vector<int32_t> ids;  ///< of the pages in use
  CacheShape cacheShape;
  Schedule schedule;
  std::unique_ptr<Buffer<T>> cache, q, out, partialOut;
  std::unique_ptr<Buffer<float>> lse, partialLse;
  std::unique_ptr<Buffer<int32_t>> lengths, table, numSplits, treeMask;
  std::unique_ptr<Buffer<ScheduleRow>> rows;
  std::unique_ptr<Buffer<uint32_t>> arrivals;
  std::unique_ptr<Buffer<CacheMaps>> cacheMaps;
  std::unique_ptr<Buffer<QueryTensor<T>>> queries;
  DecodeParams<T> params;
  DecodeLaunch launchShape;

  void launch(cudaStream_t stream = nullptr) const {
    launchShape.rowBlock == 0 ? launchManyRows(params, launchShape, stream) : launchFewRows(params, launchShape, stream);
  }
};

using Problem = ProblemOf<__nv_bfloat16>;

/** Partitions of a launch that fills `sms` multiprocessors once. */
int fullPartitions(const Shape& shape, int sms);

}  // namespace polymla::test
