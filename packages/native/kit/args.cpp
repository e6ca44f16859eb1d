#include "args.h"

#include <algorithm>
#include <cstring>

#include "checks.h"
#include "read.h"

namespace polymla {

namespace {

/** A device pointer that is needed unless nothing lies there. */
void requireTensor(const char *name, const void *pointer, int64_t alignment, bool needed = true) {
  if (needed) requirePointer(pointer, name);
  if (reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(alignment) != 0) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a multiple of %" PRId64 ", found address %p",
                      name, alignment, pointer);
  }
}

/** Strides of a tensor's outer dimensions; `rowBytes` is what a row of the innermost takes. */
void requireStrides(const char *name, const int64_t *strides, std::initializer_list<int64_t> dims,
                    int64_t elementSize) {
  int64_t last = 0;
  for (const int64_t dim : dims) {
    int64_t reach;
    requireRange(name, *strides, 0);
    if (__builtin_mul_overflow(*strides, std::max<int64_t>(dim - 1, 0), &reach) ||
        __builtin_add_overflow(last, reach, &last) || last > (int64_t{1} << 62) / elementSize) {
      throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                        "%s: expected a tensor of less than 2^62 bytes, found more", name);
    }
    strides++;
  }
}

void requireWorkspace(const FitProblem &plan, const void *workspace) {
  requireTensor("workspace", workspace, 256, plan.fit.workspaceBytes > 0);
}

void requireSchedule(const FitProblem &plan, const pmla_schedule &schedule, int64_t splitPages) {
  const bool needed = plan.fit.maxPartitions > 0;
  requireTensor("schedule.rows", schedule.rows, 4, needed);
  requireTensor("schedule.num_splits", schedule.num_splits, 4, needed);
  requireRange("split_pages", splitPages, 0, INT32_MAX);
}

/** Alignment of a cache: that of its elements, and of the numbers inside a packed token. */
int64_t cacheAlignment(const pmla_kv_layout &layout) {
  if (layout.format == PMLA_KV_FP8_656) return 4;
  if (layout.format == PMLA_KV_FP8_584) return 2;
  return cacheElementBytes(layout.format);
}

void check(const FitProblem &plan, const pmla_decode_problem &p, const pmla_decode_args &a) {
  const int64_t element = elementBytes(p.q_dtype);
  requireRange("batch", a.batch, 1, p.max_batch);
  requireTensor("q", a.q, element);
  requireStrides("q_strides", a.q_strides, {a.batch, p.query_tokens, p.heads}, element);
  requireTensor("cache", a.cache, cacheAlignment(p.cache), p.cache.pages > 0);
  requireTensor("seqlens", a.seqlens, 4);
  requireTensor("block_table", a.block_table, 4, p.block_table_width > 0);
  requireTensor("tree_mask", a.tree_mask, 4, p.mask == PMLA_MASK_TREE);
  requireTensor("out", a.out, elementBytes(p.out_dtype));
  requireTensor("lse", a.lse, 4, false);
  requireFinite("descale_q", a.descale_q);
  requireFinite("descale_k", a.descale_k);
  requireSchedule(plan, a.schedule, a.split_pages);
  requireWorkspace(plan, a.workspace);
}

void check(const FitProblem &plan, const pmla_sparse_decode_problem &p, const pmla_sparse_decode_args &a) {
  const int64_t element = elementBytes(p.q_dtype);
  const bool extra = (p.flags & PMLA_SPARSE_EXTRA) != 0;
  requireRange("batch", a.batch, 1, p.max_batch);
  requireTensor("q", a.q, element);
  requireStrides("q_strides", a.q_strides, {a.batch, p.query_tokens, p.heads}, element);
  requireTensor("cache", a.cache, cacheAlignment(p.cache), p.cache.pages > 0);
  requireTensor("indices", a.indices, 4, p.topk > 0);
  requireTensor("topk_length", a.topk_length, 4, (p.flags & PMLA_SPARSE_TOPK_LENGTH) != 0);
  if (extra)
    requireTensor("extra_cache", a.extra_cache, cacheAlignment(p.extra_cache), p.extra_cache.pages > 0);
  requireTensor("extra_indices", a.extra_indices, 4, extra && p.extra_topk > 0);
  requireTensor("extra_topk_length", a.extra_topk_length, 4, (p.flags & PMLA_SPARSE_EXTRA_TOPK_LENGTH) != 0);
  requireTensor("sink", a.sink, 4, (p.flags & PMLA_SPARSE_SINK) != 0);
  requireTensor("out", a.out, elementBytes(p.out_dtype));
  requireTensor("lse", a.lse, 4, false);
  requireFinite("descale_k", a.descale_k);
  requireSchedule(plan, a.schedule, a.split_pages);
  requireWorkspace(plan, a.workspace);
}

void check(const FitProblem &plan, const pmla_sparse_prefill_problem &p,
           const pmla_sparse_prefill_args &a) {
  const int64_t element = elementBytes(p.dtype);
  const bool queries = p.query_tokens > 0;
  requireTensor("q", a.q, element, queries);
  requireStrides("q_strides", a.q_strides, {p.query_tokens, p.heads}, element);
  requireTensor("kv", a.kv, element, p.keys > 0);
  requireStrides("kv_stride", &a.kv_stride, {p.keys}, element);
  requireTensor("indices", a.indices, 4, queries && p.topk > 0);
  requireTensor("topk_length", a.topk_length, 4, queries && (p.flags & PMLA_SPARSE_TOPK_LENGTH) != 0);
  requireTensor("sink", a.sink, 4, (p.flags & PMLA_SPARSE_SINK) != 0);
  requireTensor("out", a.out, elementBytes(p.out_dtype), queries);
  requireTensor("max_logits", a.max_logits, 4, false);
  requireTensor("lse", a.lse, 4, false);
  requireWorkspace(plan, a.workspace);
}

void check(const FitProblem &plan, const pmla_append_kv_problem &p, const pmla_append_kv_args &a) {
  const int64_t element = elementBytes(p.dtype);
  const bool rotates = p.rotary != PMLA_ROTARY_NONE;
  requireRange("tokens", a.tokens, 1, p.max_tokens);
  requireTensor("latent", a.latent, element, p.rope_dim < p.cache.head_dim);
  requireStrides("latent_strides", a.latent_strides, {a.tokens, p.cache.heads_kv}, element);
  requireTensor("rope_key", a.rope_key, element, p.rope_dim > 0);
  requireStrides("rope_key_strides", a.rope_key_strides, {a.tokens, p.cache.heads_kv}, element);
  requireTensor("slots", a.slots, 4);
  requireTensor("positions", a.positions, 4, rotates);
  requireTensor("rotary_table", a.rotary_table, 4, rotates);
  requireTensor("cache", a.cache, cacheAlignment(p.cache), p.cache.pages > 0);
  requireFinite("descale_k", a.descale_k);
  requireWorkspace(plan, a.workspace);
}

void check(const FitProblem &plan, const pmla_merge_states_problem &p, const pmla_merge_states_args &a) {
  const int64_t element = elementBytes(p.dtype);
  const bool rows = p.batch > 0;
  requireTensor("outs", a.outs, element, rows && p.parts > 0);
  requireStrides("outs_strides", a.outs_strides, {p.parts, p.batch, p.query_tokens, p.heads}, element);
  requireTensor("lses", a.lses, 4, rows && p.parts > 0);
  requireStrides("lses_strides", a.lses_strides, {p.parts, p.batch, p.heads}, 4);
  requireTensor("out", a.out, elementBytes(p.out_dtype), rows);
  requireTensor("lse", a.lse, 4, false);
  requireWorkspace(plan, a.workspace);
}

void check(const FitProblem &plan, const pmla_copy_pages_problem &p, const pmla_copy_pages_args &a) {
  requireRange("pairs", a.pairs, 1, p.max_pairs);
  requireTensor("cache", a.cache, cacheAlignment(p.cache), p.cache.pages > 0);
  requireTensor("pages", a.pages, 4);
  requireWorkspace(plan, a.workspace);
}

template <class Args, class Problem>
void readAs(Args &to, const FitProblem &plan, const Problem &problem, const void *from) {
  to = readStruct(static_cast<const Args *>(from), PMLA_LEAST(Args, workspace), "args");
  check(plan, problem, to);
}

/** What only plans with a tile schedule have. */
void requireScheduled(const FitProblem &plan, bool has, const char *what) {
  if (has) return;
  throw makeFailure(PMLA_UNSUPPORTED, "", "%s: this plan has no %s", opName(plan.problem.head.op), what);
}

} // namespace

void requireOp(const FitProblem &plan, uint32_t op) {
  const uint32_t made = plan.problem.head.op;
  if (made == op) return;
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a plan of that op, found one of %s", opName(op),
                    opName(made));
}

AnyArgs readArgs(const FitProblem &plan, const void *args) {
  AnyArgs read;
  const AnyProblem &problem = plan.problem;
  switch (problem.head.op) {
  case PMLA_OP_DECODE:
    readAs(read.decode, plan, problem.decode, args);
    break;
  case PMLA_OP_SPARSE_DECODE:
    readAs(read.sparseDecode, plan, problem.sparseDecode, args);
    break;
  case PMLA_OP_SPARSE_PREFILL:
    readAs(read.sparsePrefill, plan, problem.sparsePrefill, args);
    break;
  case PMLA_OP_APPEND_KV:
    readAs(read.appendKv, plan, problem.appendKv, args);
    break;
  case PMLA_OP_MERGE_STATES:
    readAs(read.mergeStates, plan, problem.mergeStates, args);
    break;
  default:
    readAs(read.copyPages, plan, problem.copyPages, args);
  }
  return read;
}

pmla_schedule_args readScheduleArgs(const FitProblem &plan, const pmla_schedule_args *args) {
  requireScheduled(plan, plan.fit.schedules, "device-side schedule");
  const pmla_schedule_args read = readStruct(args, PMLA_LEAST(pmla_schedule_args, num_splits), "args");
  const bool dense = plan.problem.head.op == PMLA_OP_DECODE;
  requireRange("batch", read.batch, 0,
               dense ? plan.problem.decode.max_batch : plan.problem.sparseDecode.max_batch);
  requireTensor("lengths", read.lengths, 4, dense && read.batch > 0);
  requireTensor("extra_lengths", read.extra_lengths, 4, false);
  requireRange("partitions", read.partitions, 1, plan.fit.maxPartitions);
  requireRange("fixed_overhead", read.fixed_overhead, 0, INT32_MAX);
  requireRange("page_size", read.page_size, 1);
  requireRange("split_pages", read.split_pages, 0, INT32_MAX);
  requireTensor("rows", read.rows, 4);
  requireTensor("num_splits", read.num_splits, 4);
  return read;
}

pmla_load readLoad(const FitProblem &plan, const pmla_load *load) {
  requireScheduled(plan, plan.fit.maxPartitions > 0, "tile schedule");
  const pmla_load read = readStruct(load, PMLA_LEAST(pmla_load, longest_pages), "load");
  requireRange("batch", read.batch, 0);
  requireRange("total_pages", read.total_pages, 0);
  requireRange("longest_pages", read.longest_pages, 0);
  return read;
}

} // namespace polymla
