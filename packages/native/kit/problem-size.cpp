#include <algorithm>
#include <initializer_list>

#include "checks.h"
#include "problem.h"

namespace polymla {

namespace {

/** Collects the first tensor that would take more than LIMIT bytes, a dimension of 0 counting as 1. */
class SizeCheck {
public:
  void tensor(const char *name, int64_t elementSize, std::initializer_list<int64_t> dims) {
    int64_t bytes = elementSize;
    for (const int64_t dim : dims) bytes = times(bytes, std::max<int64_t>(dim, 1));
    if (bytes <= LIMIT || !found.empty()) return;
    found = std::string(name) + ": expected less than 2^62 bytes, found more";
  }
  void cache(const char *name, const pmla_kv_layout &layout) {
    tensor(name, cacheElementBytes(layout.format), {layout.pages, layout.page_stride});
  }
  std::string found;

private:
  /** Sums of some sizes fit into int64 too. */
  static constexpr int64_t LIMIT = int64_t{1} << 62;
};

void sizes(SizeCheck &is, const pmla_decode_problem &p) {
  is.cache("cache", p.cache);
  // Partial results are in fp32, whatever q and out are.
  is.tensor("q", 4, {p.max_batch, p.query_tokens, p.heads, p.cache.head_dim});
  is.tensor("block_table", 4, {p.max_batch, p.block_table_width});
  is.tensor("tokens of a request", 1, {p.block_table_width, p.cache.page_size});
  if (p.mask == PMLA_MASK_TREE)
    is.tensor("tree_mask", 4, {p.max_batch, p.query_tokens, (p.query_tokens + 31) / 32});
}

void sizes(SizeCheck &is, const pmla_sparse_decode_problem &p) {
  is.cache("cache", p.cache);
  is.tensor("q", 4, {p.max_batch, p.query_tokens, p.heads, p.cache.head_dim});
  is.tensor("indices", 4, {p.max_batch, p.query_tokens, p.topk});
  if ((p.flags & PMLA_SPARSE_EXTRA) == 0) return;
  is.cache("extra_cache", p.extra_cache);
  is.tensor("extra_indices", 4, {p.max_batch, p.query_tokens, p.extra_topk});
}

void sizes(SizeCheck &is, const pmla_sparse_prefill_problem &p) {
  is.tensor("q", 4, {p.query_tokens, p.heads, p.head_dim});
  is.tensor("kv", 4, {p.keys, p.head_dim});
  is.tensor("indices", 4, {p.query_tokens, p.topk});
}

void sizes(SizeCheck &is, const pmla_append_kv_problem &p) {
  is.cache("cache", p.cache);
  is.tensor("latent", 4, {p.max_tokens, p.cache.heads_kv, p.cache.head_dim});
  is.tensor("rotary_table", 4, {p.table_length, p.rope_dim});
}

void sizes(SizeCheck &is, const pmla_merge_states_problem &p) {
  is.tensor("outs", 4, {p.parts, p.batch, p.query_tokens, p.heads, p.value_dim});
}

void sizes(SizeCheck &is, const pmla_copy_pages_problem &p) { is.cache("cache", p.cache); }

} // namespace

std::string tooLarge(const AnyProblem &problem) {
  SizeCheck is;
  switch (problem.head.op) {
  case PMLA_OP_DECODE:
    sizes(is, problem.decode);
    break;
  case PMLA_OP_SPARSE_DECODE:
    sizes(is, problem.sparseDecode);
    break;
  case PMLA_OP_SPARSE_PREFILL:
    sizes(is, problem.sparsePrefill);
    break;
  case PMLA_OP_APPEND_KV:
    sizes(is, problem.appendKv);
    break;
  case PMLA_OP_MERGE_STATES:
    sizes(is, problem.mergeStates);
    break;
  default:
    sizes(is, problem.copyPages);
  }
  return is.found;
}

} // namespace polymla
