#include "problem.h"

#include <cstdio>
#include <cstring>

#include "checks.h"
#include "read.h"

namespace polymla {

namespace {

constexpr int64_t HEAD_DIM_STEP = 16;

/** The one shape of a packed format; zero for the plain ones. */
struct PackedShape {
  int64_t headDim;
  int64_t tokenBytes;
};

PackedShape packedShape(uint32_t format) {
  switch (format) {
  case PMLA_KV_FP8_656:
    return {576, 656};
  case PMLA_KV_FP8_584:
    return {512, 584};
  default:
    return {0, 0};
  }
}

/** A dtype that results and most inputs may have. */
void requireDtype(const char *name, uint32_t dtype, bool e4m3 = false) {
  requireKnown(elementBytes(dtype) > 0, name, dtype);
  if (dtype == PMLA_E4M3 && !e4m3) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected bf16, f16 or f32, found e4m3", name);
  }
}

void requireLayout(const pmla_kv_layout &layout, const char *name) {
  char path[64];
  const auto member = [&](const char *what) {
    snprintf(path, sizeof path, "%s.%s", name, what);
    return path;
  };
  requireKnown(cacheElementBytes(layout.format) > 0, member("format"), layout.format);
  requireRange(member("pages"), layout.pages, 0);
  requireRange(member("page_size"), layout.page_size, 1);
  requireRange(member("heads_kv"), layout.heads_kv, 1);
  requireMultiple(member("head_dim"), layout.head_dim, HEAD_DIM_STEP);
  const PackedShape packed = packedShape(layout.format);
  if (packed.headDim != 0) {
    requireRange(member("head_dim"), layout.head_dim, packed.headDim, packed.headDim);
    requireRange(member("heads_kv"), layout.heads_kv, 1, 1);
  }
  const int64_t page = times(times(layout.page_size, layout.heads_kv),
                             packed.headDim == 0 ? layout.head_dim : packed.tokenBytes);
  requireRange(member("page_stride"), layout.page_stride, page);
}

void requireValueDim(int64_t valueDim, int64_t headDim) {
  requireMultiple("value_dim", valueDim, HEAD_DIM_STEP);
  requireRange("value_dim", valueDim, HEAD_DIM_STEP, headDim);
}

void check(const pmla_decode_problem &p) {
  requireDtype("q_dtype", p.q_dtype, true);
  requireDtype("out_dtype", p.out_dtype);
  requireKnown(p.mask <= PMLA_MASK_TREE, "mask", p.mask);
  requireRange("max_batch", p.max_batch, 0, INT32_MAX);
  requireRange("query_tokens", p.query_tokens, 1, INT32_MAX);
  requireLayout(p.cache, "cache");
  requireMultiple("heads", p.heads, p.cache.heads_kv);
  requireValueDim(p.value_dim, p.cache.head_dim);
  requireRange("block_table_width", p.block_table_width, 0, INT32_MAX);
  requireRange("split_pages", p.split_pages, 0, INT32_MAX);
  requireFinite("softmax_scale", p.softmax_scale);
}

void check(const pmla_sparse_decode_problem &p) {
  constexpr uint32_t FLAGS =
      PMLA_SPARSE_TOPK_LENGTH | PMLA_SPARSE_EXTRA | PMLA_SPARSE_EXTRA_TOPK_LENGTH | PMLA_SPARSE_SINK;
  requireDtype("q_dtype", p.q_dtype);
  requireDtype("out_dtype", p.out_dtype);
  requireKnown((p.flags & ~FLAGS) == 0, "flags", p.flags);
  requireRange("max_batch", p.max_batch, 0, INT32_MAX);
  requireRange("query_tokens", p.query_tokens, 1, INT32_MAX);
  requireRange("heads", p.heads, 1);
  requireRange("topk", p.topk, 0, INT32_MAX);
  requireRange("split_pages", p.split_pages, 0, INT32_MAX);
  requireLayout(p.cache, "cache");
  requireRange("cache.heads_kv", p.cache.heads_kv, 1, 1);
  requireValueDim(p.value_dim, p.cache.head_dim);
  if ((p.flags & PMLA_SPARSE_EXTRA) != 0) {
    requireLayout(p.extra_cache, "extra_cache");
    requireRange("extra_cache.heads_kv", p.extra_cache.heads_kv, 1, 1);
    requireRange("extra_cache.head_dim", p.extra_cache.head_dim, p.cache.head_dim, p.cache.head_dim);
    requireRange("extra_topk", p.extra_topk, 0, INT32_MAX);
  } else if ((p.flags & PMLA_SPARSE_EXTRA_TOPK_LENGTH) != 0) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                      "flags: expected EXTRA beside EXTRA_TOPK_LENGTH, found %" PRIu32, p.flags);
  }
  requireFinite("softmax_scale", p.softmax_scale);
}

void check(const pmla_sparse_prefill_problem &p) {
  requireDtype("dtype", p.dtype);
  requireDtype("out_dtype", p.out_dtype);
  requireKnown((p.flags & ~uint32_t{PMLA_SPARSE_TOPK_LENGTH | PMLA_SPARSE_SINK}) == 0, "flags", p.flags);
  requireRange("query_tokens", p.query_tokens, 0);
  requireRange("heads", p.heads, 1);
  requireRange("keys", p.keys, 0, INT32_MAX);
  requireMultiple("head_dim", p.head_dim, HEAD_DIM_STEP);
  requireValueDim(p.value_dim, p.head_dim);
  requireRange("topk", p.topk, 0, INT32_MAX);
  requireFinite("softmax_scale", p.softmax_scale);
}

void check(const pmla_append_kv_problem &p) {
  requireDtype("dtype", p.dtype);
  requireKnown(p.rotary <= PMLA_ROTARY_NEOX, "rotary", p.rotary);
  requireRange("max_tokens", p.max_tokens, 0, INT32_MAX);
  requireLayout(p.cache, "cache");
  requireRange("rope_dim", p.rope_dim, 0, p.cache.head_dim);
  if (p.rope_dim % 2 != 0) requireMultiple("rope_dim", p.rope_dim, 2);
  if (p.rotary != PMLA_ROTARY_NONE) {
    requireRange("rope_dim", p.rope_dim, 2, p.cache.head_dim);
    requireRange("table_length", p.table_length, 1, INT32_MAX);
  }
}

void check(const pmla_merge_states_problem &p) {
  requireDtype("dtype", p.dtype);
  requireDtype("out_dtype", p.out_dtype);
  requireRange("parts", p.parts, 0);
  requireRange("batch", p.batch, 0);
  requireRange("query_tokens", p.query_tokens, 1);
  requireRange("heads", p.heads, 1);
  requireMultiple("value_dim", p.value_dim, HEAD_DIM_STEP);
}

void check(const pmla_copy_pages_problem &p) {
  requireRange("max_pairs", p.max_pairs, 0, INT32_MAX);
  requireLayout(p.cache, "cache");
}

template <class Struct> void readAs(Struct &to, const pmla_problem *from, size_t least) {
  to = readStruct(reinterpret_cast<const Struct *>(from), least, "problem");
  check(to);
}

} // namespace

int64_t elementBytes(uint32_t dtype) {
  switch (dtype) {
  case PMLA_BF16:
  case PMLA_F16:
    return 2;
  case PMLA_F32:
    return 4;
  case PMLA_E4M3:
    return 1;
  default:
    return 0;
  }
}

int64_t cacheElementBytes(uint32_t format) {
  switch (format) {
  case PMLA_KV_BF16:
  case PMLA_KV_F16:
    return 2;
  case PMLA_KV_F32:
    return 4;
  case PMLA_KV_E4M3:
  case PMLA_KV_FP8_656:
  case PMLA_KV_FP8_584:
    return 1;
  default:
    return 0;
  }
}

AnyProblem readProblem(const pmla_problem *problem) {
  if (problem == nullptr)
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "problem: expected a struct, found NULL");
  if (problem->size < sizeof *problem) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                      "problem: expected a struct of at least %zu bytes, found %" PRIu32, sizeof *problem,
                      problem->size);
  }
  AnyProblem read;
  memset(&read, 0, sizeof read);
  switch (problem->op) {
  case PMLA_OP_DECODE:
    readAs(read.decode, problem, PMLA_LEAST(pmla_decode_problem, softmax_scale));
    break;
  case PMLA_OP_SPARSE_DECODE:
    readAs(read.sparseDecode, problem, PMLA_LEAST(pmla_sparse_decode_problem, softmax_scale));
    break;
  case PMLA_OP_SPARSE_PREFILL:
    readAs(read.sparsePrefill, problem, PMLA_LEAST(pmla_sparse_prefill_problem, softmax_scale));
    break;
  case PMLA_OP_APPEND_KV:
    readAs(read.appendKv, problem, PMLA_LEAST(pmla_append_kv_problem, cache));
    break;
  case PMLA_OP_MERGE_STATES:
    readAs(read.mergeStates, problem, PMLA_LEAST(pmla_merge_states_problem, value_dim));
    break;
  case PMLA_OP_COPY_PAGES:
    readAs(read.copyPages, problem, PMLA_LEAST(pmla_copy_pages_problem, cache));
    break;
  default:
    requireKnown(false, "op", problem->op);
  }
  return read;
}

} // namespace polymla
