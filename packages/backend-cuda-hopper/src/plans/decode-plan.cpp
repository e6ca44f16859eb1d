#include "decode-plan.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "../host/cuda-check.h"
#include "../ops/combine-splits.h"
#include "../ops/split-batch.h"
#include "decode-cost.h"
#include "decode-kernels.h"
#include "device-records.h"
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
      : problem_(problem), shape_(shape), counters_(device, shape.counters), records_(device) {}

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
      placeQueries(params, args.decode);
      params.cache = mapsOf(args.decode.cache);
      if (shape_.ownSchedule) scheduleHere(args.decode, stream);
      if (shape_.mostSplits == 0) {
        Kernel::launch(params, launchOf(args.decode.batch), stream);
      } else {
        launchSplits(params, args.decode, stream);
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
      // Not for splits that are requests of their own, nor where a table entry is not a page of the schedule.
      if (shape_.fewRows && shape_.splitPages == 0 && !shape_.ownSchedule) guess_ = guessSchedule(load, shape_.partitions, overhead_);
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
  void launchSplits(const DecodeParams<T>& params, const pmla_decode_args& args, cudaStream_t stream) {
    DecodeParams<T> decode = params;
    decode.out = at<T>(args.workspace, shape_.workspace.partOuts);
    decode.lse = at<float>(args.workspace, shape_.workspace.partLses);
    const int64_t mostSplits = splitRequests(decode, args, stream);
    Kernel::launch(decode, launchOf(mostSplits), stream);
    launchCombineSplits<T>({params.numSplits, decode.out, decode.lse, params.out, params.lse, args.batch, params.queryTokens, params.headsQ()},
                           stream);
  }

  DecodeLaunch launchOf(int64_t batch) const {
    return {static_cast<int>(shape_.partitions), static_cast<int>(batch), static_cast<int>(problem_.cache.head_dim), shape_.rowBlock,
            load_.total_pages};
  }

  /** Makes the batch of `decode` one of splits. @returns how many there are at most */
  int64_t splitRequests(DecodeParams<T>& decode, const pmla_decode_args& args, cudaStream_t stream) const {
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
    decode.mostPages = static_cast<int32_t>(step.splitPages);
    decode.mostTokens = longestLength;
    return step.mostSplits;
  }

  /** Made once per cache: there are as many as layers. */
  const CacheMaps* mapsOf(const void* memory) {
    const auto known = maps_.find(memory);
    if (known != maps_.end()) return known->second;
    const pmla_kv_layout& cache = problem_.cache;
    const int64_t headBytes = cache.head_dim * static_cast<int64_t>(sizeof(T));
    const CacheShape shape{memory, cache.format == PMLA_KV_BF16, cache.pages, static_cast<int>(cache.page_size),
                           static_cast<int>(cache.heads_kv), static_cast<int>(cache.head_dim),
                           cache.page_stride * static_cast<int64_t>(sizeof(T)), cache.heads_kv * headBytes};
    return maps_.emplace(memory, records_.add(Kernel::maps(shape))).first->second;
  }

  /** Engines use few buffers for queries: mostly they are the last ones again. */
  void placeQueries(DecodeParams<T>& params, const pmla_decode_args& args) {
    const QuerySource source{args.q, args.q_strides[0], args.q_strides[1], args.q_strides[2]};
    if (lastQueries_ == nullptr || source != lastSource_) {
      const auto known = queries_.find(source);
      lastQueries_ = known != queries_.end() ? &known->second : &queries_.emplace(source, recordOf(params, args)).first->second;
      lastSource_ = source;
    }
    params.queries = lastQueries_->record;
    params.hasQueryMap = lastQueries_->hasMap;
  }

  struct QueryRecord {
    const QueryTensor<T>* record;
    bool hasMap;
  };

  QueryRecord recordOf(const DecodeParams<T>& params, const pmla_decode_args& args) {
    QueryTensor<T> queries{{}, static_cast<const T*>(args.q), args.q_strides[0], args.q_strides[1], args.q_strides[2]};
    const auto headDim = static_cast<int>(problem_.cache.head_dim);
    const auto map = queryMapOf(queries, params, problem_.max_batch, headDim, Kernel::queryBox(shape_.rowBlock, headDim));
    if (map) queries.map = *map;
    return {records_.add(queries), map.has_value()};
  }

  DecodeParams<T> paramsOf(const pmla_decode_args& args) const {
    constexpr double log2e = 1.4426950408889634;
    const DecodeShape::Workspace& scratch = shape_.workspace;
    DecodeParams<T> params{};
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
    params.queryTokens = static_cast<int32_t>(problem_.query_tokens);
    params.headsKv = static_cast<uint16_t>(problem_.cache.heads_kv);
    params.headsPerKv = static_cast<int32_t>(problem_.heads / problem_.cache.heads_kv);
    params.pages = static_cast<int32_t>(problem_.cache.pages);
    params.scaleLog2 = static_cast<float>(problem_.softmax_scale * log2e);
    // As many requests as the launch has: a step of another size may follow the choice.
    if (args.batch == load_.batch) params.guess = guess_;
    params.causal = problem_.mask == PMLA_MASK_CAUSAL && problem_.query_tokens > 1;
    params.pageSize = static_cast<int32_t>(problem_.cache.page_size);
    params.treeMask = problem_.mask == PMLA_MASK_TREE ? args.tree_mask : nullptr;
    params.mostTokens = static_cast<int32_t>(std::min<int64_t>(mostTokens(), longestLength));
    return params;
  }

  const pmla_decode_problem problem_;
  const DecodeShape shape_;
  const Counters counters_;
  DeviceRecords records_;
  std::unordered_map<const void*, const CacheMaps*> maps_;
  using QuerySource = std::tuple<const void*, int64_t, int64_t, int64_t>;
  std::map<QuerySource, QueryRecord> queries_;
  QuerySource lastSource_{};
  const QueryRecord* lastQueries_ = nullptr;
  pmla_load load_{};  ///< of the last choice
  int64_t overhead_ = 0;
  ScheduleGuess guess_;
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
