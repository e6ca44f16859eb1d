#include "attend-plan.h"

#include "gpu/ops/schedule.h"

namespace polymla {
namespace {

constexpr double log2e = 1.44269504088896340736;

KeySet keysOf(const void *memory, const pmla_kv_layout &layout, const int32_t *entries, int64_t width, const int32_t *lengths,
              int64_t most) {
  return {static_cast<const unsigned char *>(memory), CacheLayout(layout), layout.format, entries, width, lengths, most, 1};
}

/** Whether the keys of a set are numbers of the kernel's type at multiples of 16 bytes. */
bool isDirect(const AttendKernel &kernel, const KeySet &keys) {
  const uint32_t format = kernel.compute == Compute::Bf16 ? PMLA_KV_BF16 : PMLA_KV_F16;
  const bool aligned = reinterpret_cast<uintptr_t>(keys.memory) % 16 == 0 && keys.layout.pageStride % 16 == 0 &&
                       keys.layout.tokenStride % 16 == 0;
  return kernel.compute != Compute::F32 && keys.format == format && aligned;
}

bool isCopied(const AttendKernel &kernel, const AttendParams &params) {
  const uint32_t type = kernel.compute == Compute::Bf16 ? PMLA_BF16 : PMLA_F16;
  bool aligned = kernel.compute != Compute::F32 && params.qType == type && reinterpret_cast<uintptr_t>(params.q) % 16 == 0;
  for (const int64_t stride : params.qStrides) aligned = aligned && stride % 8 == 0;
  return aligned;
}

/** What all plans of attention have in common. */
template <class Problem> class AttendPlan : public Plan {
public:
  AttendPlan(Device &device, const Problem &problem) : problem_(problem), shape_(shapeOf(device.traits, problem)) {}

  pmla_choice choose(const pmla_load &) override { return {sizeof(pmla_choice), 0, shape_.partitions, shape_.fixedOverhead}; }

protected:
  template <class Args> AttendParams paramsOf(const Args &args) const {
    AttendParams params{};
    params.q = args.q;
    params.heads = problem_.heads;
    params.headsKv = 1;
    params.queryTokens = 1;
    params.valueDim = static_cast<int>(problem_.value_dim);
    params.rows = shape_.rows;
    params.rowBlocks = shape_.rowBlocks;
    params.out = args.out;
    params.outType = problem_.out_dtype;
    params.lse = args.lse;
    params.outScale = 1;
    params.pageTokens = shape_.pageTokens;
    return params;
  }

  template <class Args> void addSchedule(AttendParams &params, const Args &args) const {
    params.batch = args.batch;
    params.queryTokens = problem_.query_tokens;
    for (int i = 0; i < 3; i++) params.qStrides[i] = args.q_strides[i];
    params.qType = problem_.q_dtype;
    params.headDim = static_cast<int>(problem_.cache.head_dim);
    params.schedule = reinterpret_cast<const ScheduleRow *>(args.schedule.rows);
    params.numSplits = args.schedule.num_splits;
    params.partitions = shape_.partitions;
    params.splitPages = args.split_pages;
    params.places = shape_.places;
    params.partialOut = static_cast<float *>(args.workspace);
    params.partialLse = params.partialOut == nullptr ? nullptr : params.partialOut + shape_.partialOutBytes() / sizeof(float);
  }

  /** @param scale of the logits, in base e */
  void enqueue(AttendParams &params, double scale, rt::Stream stream) const {
    params.scaleLog2 = static_cast<float>(scale * log2e);
    params.copiesQueries = isCopied(shape_.kernel, params);
    const bool direct = isDirect(shape_.kernel, params.keys) && (params.extra.width == 0 || isDirect(shape_.kernel, params.extra));
    launchAttend(shape_.kernel, direct, params, stream);
  }

  void enqueueSchedule(ScheduleInput input, const pmla_schedule_args &args, rt::Stream stream) const {
    input.batch = args.batch;
    input.lengths = args.lengths;
    input.pageSize = args.page_size;
    launchSchedule(input, {args.partitions, args.fixed_overhead, args.split_pages}, reinterpret_cast<ScheduleRow *>(args.rows),
                   shape_.partitions, args.num_splits, stream);
  }

  const Problem problem_;
  const AttendShape shape_;
};

class DecodePlan : public AttendPlan<pmla_decode_problem> {
public:
  using AttendPlan::AttendPlan;

  void schedule(const pmla_schedule_args &args, rt::Stream stream) override {
    ScheduleInput input{};
    input.longest = problem_.block_table_width * problem_.cache.page_size;
    enqueueSchedule(input, args, stream);
  }

  void launch(const AnyArgs &any, rt::Stream stream) override {
    const pmla_decode_args &args = any.decode;
    AttendParams params = paramsOf(args);
    addSchedule(params, args);
    params.headsKv = problem_.cache.heads_kv;
    params.mask = problem_.mask;
    params.tree = args.tree_mask;
    params.keys = keysOf(args.cache, problem_.cache, args.block_table, problem_.block_table_width, args.seqlens,
                         problem_.block_table_width * problem_.cache.page_size);
    params.outScale = static_cast<float>(args.descale_k);
    enqueue(params, problem_.softmax_scale * args.descale_q * args.descale_k, stream);
  }
};

class SparseDecodePlan : public AttendPlan<pmla_sparse_decode_problem> {
public:
  using AttendPlan::AttendPlan;

  void schedule(const pmla_schedule_args &args, rt::Stream stream) override {
    ScheduleInput input{};
    input.longest = problem_.topk;
    input.sparse = true;
    input.extraLengths = args.extra_lengths;
    input.extraLongest = hasExtra() ? problem_.extra_topk : 0;
    enqueueSchedule(input, args, stream);
  }

  void launch(const AnyArgs &any, rt::Stream stream) override {
    const pmla_sparse_decode_args &args = any.sparseDecode;
    AttendParams params = paramsOf(args);
    addSchedule(params, args);
    params.indexed = true;
    params.sink = args.sink;
    params.keys = keysOf(args.cache, problem_.cache, args.indices, problem_.topk, args.topk_length, problem_.topk);
    if (hasExtra()) {
      params.extra = keysOf(args.extra_cache, problem_.extra_cache, args.extra_indices, problem_.extra_topk, args.extra_topk_length,
                            problem_.extra_topk);
    }
    const auto descale = static_cast<float>(args.descale_k);
    if (shape_.scaledResults) params.outScale = descale;
    else params.keys.scale = params.extra.scale = descale;
    enqueue(params, problem_.softmax_scale * params.outScale, stream);
  }

private:
  bool hasExtra() const { return (problem_.flags & PMLA_SPARSE_EXTRA) != 0; }
};

/** Every query token is a request of its own, and what it chooses from is one page. */
class SparsePrefillPlan : public AttendPlan<pmla_sparse_prefill_problem> {
public:
  using AttendPlan::AttendPlan;

  void launch(const AnyArgs &any, rt::Stream stream) override {
    const pmla_sparse_prefill_args &args = any.sparsePrefill;
    AttendParams params = paramsOf(args);
    params.batch = problem_.query_tokens;
    params.qStrides[0] = args.q_strides[0];
    params.qStrides[2] = args.q_strides[1];
    params.qType = problem_.dtype;
    params.headDim = static_cast<int>(problem_.head_dim);
    params.indexed = true;
    params.sink = args.sink;
    params.maxLogits = args.max_logits;
    pmla_kv_layout layout{};
    layout.format = problem_.dtype == PMLA_BF16 ? PMLA_KV_BF16 : problem_.dtype == PMLA_F16 ? PMLA_KV_F16 : PMLA_KV_F32;
    layout.pages = problem_.keys;
    layout.page_size = 1;
    layout.heads_kv = 1;
    layout.head_dim = problem_.head_dim;
    layout.page_stride = args.kv_stride;
    params.keys = keysOf(args.kv, layout, args.indices, problem_.topk, args.topk_length, problem_.topk);
    enqueue(params, problem_.softmax_scale, stream);
  }
};

} // namespace

std::unique_ptr<Plan> makeAttendPlan(Device &device, const pmla_decode_problem &problem) {
  return std::make_unique<DecodePlan>(device, problem);
}
std::unique_ptr<Plan> makeAttendPlan(Device &device, const pmla_sparse_decode_problem &problem) {
  return std::make_unique<SparseDecodePlan>(device, problem);
}
std::unique_ptr<Plan> makeAttendPlan(Device &device, const pmla_sparse_prefill_problem &problem) {
  return std::make_unique<SparsePrefillPlan>(device, problem);
}

} // namespace polymla
