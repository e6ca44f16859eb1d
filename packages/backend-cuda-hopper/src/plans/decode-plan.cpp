#include "decode-plan.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "../host/cuda-check.h"
#include "../ops/combine-splits.h"
#include "../ops/split-batch.h"
#include "decode-cost.h"
#include "decode-kernels.h"
#include "gpu/library/device.h"
#include "gpu/library/failure-of.h"
#include "gpu/ops/schedule.h"

namespace polymla {
namespace {

/** Counters that a plan owns, zero but while a launch is under way. */
class Counters {
 public:
  Counters(Device& device, int64_t count) : device_(device) {
    const uint64_t bytes = static_cast<uint64_t>(std::max<int64_t>(count, 1)) * sizeof(uint32_t);
    memory_ = static_cast<uint32_t*>(device.allocate(bytes));
    const cudaError_t code = cudaMemsetAsync(memory_, 0, bytes, device.memoryStream());
    if (code == cudaSuccess && cudaStreamSynchronize(device.memoryStream()) == cudaSuccess) return;
    device_.release(memory_);
    throw failureOf(code, "cudaMemsetAsync");
  }
  Counters(const Counters&) = delete;
  ~Counters() { device_.release(memory_); }
  uint32_t* get() const { return memory_; }

 private:
  Device& device_;
  uint32_t* memory_;
};

/** Of lengths that rounding up to a page does not carry beyond int32. */
constexpr int32_t longestLength = INT32_MAX - pageTokens;

template <class T, class Kernel>
class DecodePlan : public Plan {
 public:
  DecodePlan(Device& device, const pmla_decode_problem& problem, const DecodeShape& shape)
      : problem_(problem), shape_(shape), counters_(device, shape.counters) {}

  pmla_choice choose(const pmla_load& load) override {
    return {sizeof(pmla_choice), 0, shape_.partitions, overhead(load)};
  }

  void schedule(const pmla_schedule_args& args, cudaStream_t stream) override {
    launchSchedule({args.lengths, args.batch, mostTokens(), args.page_size}, {args.partitions, args.fixed_overhead, args.split_pages},
                   reinterpret_cast<ScheduleRow*>(args.rows), shape_.partitions, args.num_splits, stream);
  }

  void launch(const AnyArgs& args, cudaStream_t stream) override {
    requireDecodeArgs(args.decode);
    DecodeParams<T> params = paramsOf(args.decode);
    try {
      mapQueries(params);
      const typename Kernel::Maps& maps = mapsOf(args.decode.cache);
      if (shape_.ownSchedule) scheduleHere(args.decode, stream);
      if (shape_.mostSplits == 0) {
        Kernel::launch(maps, params, static_cast<int>(shape_.partitions), load_.total_pages, stream);
      } else {
        launchSplits(maps, params, args.decode, stream);
      }
    } catch (const CudaError& error) {
      throw failureOf(error.code, error.what());
    }
  }

 private:
  int64_t mostTokens() const { return problem_.block_table_width * problem_.cache.page_size; }

  template <class U>
  static U* at(void* workspace, uint64_t offset) {
    return reinterpret_cast<U*>(static_cast<std::byte*>(workspace) + offset);
  }

  /** Lengths change rarely by whole pages: mostly the load is the last one again. */
  int64_t overhead(const pmla_load& load) {
    if (load.batch != load_.batch || load.total_pages != load_.total_pages || load.longest_pages != load_.longest_pages) {
      load_ = load;
      const int64_t pieceCost = shape_.fewRows ? fewRowsPieceCost : manyRowsPieceCost;
      overhead_ = shape_.splitPages > 0 ? splitBatchOverhead : decodeOverhead(load, shape_.partitions, pieceCost);
    }
    return overhead_;
  }

  void scheduleHere(const pmla_decode_args& args, cudaStream_t stream) {
    const int64_t longest = std::max<int64_t>(pagesOf(mostTokens(), pageTokens), 1);
    const pmla_load load{sizeof(pmla_load), 0, args.batch, args.batch * longest, longest};
    launchSchedule({args.seqlens, args.batch, mostTokens(), pageTokens}, {shape_.partitions, overhead(load), shape_.splitPages},
                   at<ScheduleRow>(args.workspace, shape_.workspace.rows), shape_.partitions,
                   at<int32_t>(args.workspace, shape_.workspace.numSplits), stream);
  }

  /** The kernels take the splits as requests; then those of each request are combined. */
  void launchSplits(const typename Kernel::Maps& maps, const DecodeParams<T>& params, const pmla_decode_args& args,
                    cudaStream_t stream) {
    DecodeParams<T> decode = params;
    decode.out = at<T>(args.workspace, shape_.workspace.partOuts);
    decode.lse = at<float>(args.workspace, shape_.workspace.partLses);
    splitRequests(decode, args, stream);
    Kernel::launch(maps, decode, static_cast<int>(shape_.partitions), load_.total_pages, stream);
    launchCombineSplits(params, {decode.out, decode.lse}, stream);
  }

  /** Makes the batch of `decode` one of splits. */
  void splitRequests(DecodeParams<T>& decode, const pmla_decode_args& args, cudaStream_t stream) const {
    const DecodeShape::Workspace& scratch = shape_.workspace;
    SplitBatch step{};
    step.lengths = decode.lengths;
    step.blockTable = decode.blockTable;
    step.rows = decode.schedule;
    step.numSplits = decode.numSplits;
    step.batch = args.batch;
    step.tableWidth = problem_.block_table_width;
    step.mostTokens = decode.mostTokens;
    step.rowCount = shape_.partitions;
    step.splitPages = shape_.splitPages;
    step.splitColumns = shape_.splitColumns;
    step.mostSplits = shape_.mostSplits / problem_.max_batch * args.batch;
    step.splitRows = at<ScheduleRow>(args.workspace, scratch.splitRows);
    step.splitLengths = at<int32_t>(args.workspace, scratch.splitLengths);
    step.requestOf = at<int32_t>(args.workspace, scratch.requestOf);
    step.splitTable = at<int32_t>(args.workspace, scratch.splitTable);
    step.splitFirsts = at<int32_t>(args.workspace, scratch.splitFirsts);
    launchSplitBatch(step, stream);
    decode.schedule = step.splitRows;
    decode.numSplits = step.splitFirsts;
    decode.lengths = step.splitLengths;
    decode.queryOf = step.requestOf;
    decode.blockTable = step.splitTable;
    decode.blockTableStride = static_cast<int32_t>(step.splitColumns);
    decode.batch = static_cast<int32_t>(step.mostSplits);
    decode.mostPages = static_cast<int32_t>(step.splitPages);
    decode.mostTokens = longestLength;
  }

  /** Made once per cache: there are as many as layers. */
  const typename Kernel::Maps& mapsOf(const void* memory) {
    constexpr size_t mostKept = 4096;
    const auto known = maps_.find(memory);
    if (known != maps_.end()) return known->second;
    if (maps_.size() >= mostKept) maps_.clear();
    const pmla_kv_layout& cache = problem_.cache;
    const int64_t headBytes = cache.head_dim * static_cast<int64_t>(sizeof(T));
    const CacheShape shape{memory, cache.format == PMLA_KV_BF16, cache.pages, static_cast<int>(cache.page_size),
                           static_cast<int>(cache.heads_kv), static_cast<int>(cache.head_dim),
                           cache.page_stride * static_cast<int64_t>(sizeof(T)), cache.heads_kv * headBytes};
    return maps_.emplace(memory, Kernel::maps(shape)).first->second;
  }

  /** Engines use few buffers for queries: mostly the map is the last one again. */
  void mapQueries(DecodeParams<T>& params) {
    const QuerySource source{params.q, params.queryRequestStride, params.queryTokenStride, params.queryHeadStride};
    if (source != querySource_) {
      queryMap_ = queryMapOf(params, problem_.max_batch, Kernel::queryBox(params.rowBlock, params.headDim));
      querySource_ = source;
    }
    params.hasQueryMap = queryMap_.has_value();
    if (params.hasQueryMap) params.queryMap = *queryMap_;
  }

  DecodeParams<T> paramsOf(const pmla_decode_args& args) const {
    constexpr double log2e = 1.4426950408889634;
    const DecodeShape::Workspace& scratch = shape_.workspace;
    DecodeParams<T> params{};
    params.q = static_cast<const T*>(args.q);
    params.out = static_cast<T*>(args.out);
    params.lse = args.lse ? args.lse : at<float>(args.workspace, scratch.lse);
    params.lengths = args.seqlens;
    params.blockTable = args.block_table;
    params.schedule = shape_.ownSchedule ? at<ScheduleRow>(args.workspace, scratch.rows)
                                         : reinterpret_cast<const ScheduleRow*>(args.schedule.rows);
    params.numSplits = shape_.ownSchedule ? at<int32_t>(args.workspace, scratch.numSplits) : args.schedule.num_splits;
    params.partialOut = at<T>(args.workspace, scratch.partialOut);
    params.partialLse = at<float>(args.workspace, scratch.partialLse);
    params.arrivals = counters_.get();
    params.blockTableStride = static_cast<int32_t>(problem_.block_table_width);
    params.batch = static_cast<int32_t>(args.batch);
    params.queryTokens = static_cast<int32_t>(problem_.query_tokens);
    params.headsQ = static_cast<int32_t>(problem_.heads);
    params.headsKv = static_cast<int32_t>(problem_.cache.heads_kv);
    params.headsPerKv = static_cast<int32_t>(problem_.heads / problem_.cache.heads_kv);
    params.pages = static_cast<int32_t>(problem_.cache.pages);
    params.scaleLog2 = static_cast<float>(problem_.softmax_scale * log2e);
    params.causal = problem_.mask == PMLA_MASK_CAUSAL && problem_.query_tokens > 1;
    params.pageSize = static_cast<int32_t>(problem_.cache.page_size);
    params.headDim = static_cast<int32_t>(problem_.cache.head_dim);
    params.rowBlock = shape_.rowBlock;
    params.treeMask = problem_.mask == PMLA_MASK_TREE ? args.tree_mask : nullptr;
    params.queryRequestStride = args.q_strides[0];
    params.queryTokenStride = args.q_strides[1];
    params.queryHeadStride = args.q_strides[2];
    params.mostTokens = static_cast<int32_t>(std::min<int64_t>(mostTokens(), longestLength));
    return params;
  }

  const pmla_decode_problem problem_;
  const DecodeShape shape_;
  const Counters counters_;
  std::unordered_map<const void*, typename Kernel::Maps> maps_;
  using QuerySource = std::tuple<const void*, int64_t, int64_t, int64_t>;
  QuerySource querySource_{};  ///< of the last launch
  std::optional<CUtensorMap> queryMap_;
  pmla_load load_{};  ///< of the last choice
  int64_t overhead_ = 0;
};

template <class T>
std::unique_ptr<Plan> makeFor(Device& device, const pmla_decode_problem& problem) {
  const DecodeShape shape(device.traits.units, problem);
  if (shape.fewRows) return std::make_unique<DecodePlan<T, FewRowsKernel>>(device, problem, shape);
  return std::make_unique<DecodePlan<T, ManyRowsKernel>>(device, problem, shape);
}

}  // namespace

std::unique_ptr<Plan> makeDecodePlan(Device& device, const pmla_decode_problem& problem) {
  if (problem.q_dtype == PMLA_BF16) return makeFor<__nv_bfloat16>(device, problem);
  return makeFor<__half>(device, problem);
}

}  // namespace polymla
