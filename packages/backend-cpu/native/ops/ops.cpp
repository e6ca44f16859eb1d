#include "ops.h"

#include "append-kv.h"
#include "copy-pages.h"
#include "decode.h"
#include "merge-states.h"
#include "sparse-decode.h"
#include "sparse-prefill.h"

namespace polymla::cpu {
namespace {

/** Numbers per key or value at most: what the memory of a thread is made for. */
constexpr int64_t WIDEST = 4096;

/** Refuses a width that is too large, else asks `fit`. */
template <class Fit> OpFit upToWidest(const char *name, int64_t width, Fit fit) {
  if (width <= WIDEST) return fit();
  OpFit refusal;
  refusal.why =
      std::string(name) + " is " + std::to_string(width) + "; cpu takes at most " + std::to_string(WIDEST);
  return refusal;
}

template <class Problem> const Problem &as(const pmla_problem *problem) {
  return *reinterpret_cast<const Problem *>(problem);
}

} // namespace

OpFit fitOp(const Kernels &kernels, const pmla_problem *problem) {
  switch (problem->op) {
  case PMLA_OP_DECODE: {
    const auto &decode = as<pmla_decode_problem>(problem);
    return upToWidest("head_dim", decode.cache.head_dim, [&] { return fitDecode(kernels, decode); });
  }
  case PMLA_OP_SPARSE_DECODE: {
    const auto &sparse = as<pmla_sparse_decode_problem>(problem);
    return upToWidest("head_dim", sparse.cache.head_dim, [&] { return fitSparseDecode(kernels, sparse); });
  }
  case PMLA_OP_SPARSE_PREFILL: {
    const auto &prefill = as<pmla_sparse_prefill_problem>(problem);
    return upToWidest("head_dim", prefill.head_dim, [&] { return fitSparsePrefill(kernels, prefill); });
  }
  case PMLA_OP_APPEND_KV: {
    const auto &append = as<pmla_append_kv_problem>(problem);
    return upToWidest("head_dim", append.cache.head_dim, [&] { return fitAppendKv(append); });
  }
  case PMLA_OP_MERGE_STATES: {
    const auto &merge = as<pmla_merge_states_problem>(problem);
    return upToWidest("value_dim", merge.value_dim, [&] { return fitMergeStates(merge); });
  }
  default: return fitCopyPages();
  }
}

std::unique_ptr<Plan> makePlan(const Kernels &kernels, const pmla_problem *problem) {
  switch (problem->op) {
  case PMLA_OP_DECODE: return makeDecodePlan(kernels, as<pmla_decode_problem>(problem));
  case PMLA_OP_SPARSE_DECODE: return makeSparseDecodePlan(kernels, as<pmla_sparse_decode_problem>(problem));
  case PMLA_OP_SPARSE_PREFILL:
    return makeSparsePrefillPlan(kernels, as<pmla_sparse_prefill_problem>(problem));
  case PMLA_OP_APPEND_KV: return makeAppendKvPlan(kernels, as<pmla_append_kv_problem>(problem));
  case PMLA_OP_MERGE_STATES: return makeMergeStatesPlan(kernels, as<pmla_merge_states_problem>(problem));
  default: return makeCopyPagesPlan(as<pmla_copy_pages_problem>(problem));
  }
}

} // namespace polymla::cpu
