#include "problem.h"

#include "block.h"

namespace polymla {
namespace {

pmla_kv_layout readLayout(BlockReader &from) {
  pmla_kv_layout layout{};
  layout.format = from.word();
  layout.pages = from.integer();
  layout.page_size = from.integer();
  layout.heads_kv = from.integer();
  layout.head_dim = from.integer();
  layout.page_stride = from.integer();
  return layout;
}

void readDecode(BlockReader &from, pmla_decode_problem &to) {
  to.size = sizeof to;
  to.q_dtype = from.word();
  to.out_dtype = from.word();
  to.mask = from.word();
  to.max_batch = from.integer();
  to.query_tokens = from.integer();
  to.heads = from.integer();
  to.value_dim = from.integer();
  to.block_table_width = from.integer();
  to.split_pages = from.integer();
  to.cache = readLayout(from);
  to.softmax_scale = from.number();
}

void readSparseDecode(BlockReader &from, pmla_sparse_decode_problem &to) {
  to.size = sizeof to;
  to.q_dtype = from.word();
  to.out_dtype = from.word();
  to.flags = from.word();
  to.max_batch = from.integer();
  to.query_tokens = from.integer();
  to.heads = from.integer();
  to.value_dim = from.integer();
  to.topk = from.integer();
  to.extra_topk = from.integer();
  to.split_pages = from.integer();
  to.cache = readLayout(from);
  to.extra_cache = readLayout(from);
  to.softmax_scale = from.number();
}

void readSparsePrefill(BlockReader &from, pmla_sparse_prefill_problem &to) {
  to.size = sizeof to;
  to.dtype = from.word();
  to.out_dtype = from.word();
  to.flags = from.word();
  to.query_tokens = from.integer();
  to.heads = from.integer();
  to.keys = from.integer();
  to.head_dim = from.integer();
  to.value_dim = from.integer();
  to.topk = from.integer();
  to.softmax_scale = from.number();
}

void readAppendKv(BlockReader &from, pmla_append_kv_problem &to) {
  to.size = sizeof to;
  to.dtype = from.word();
  to.rotary = from.word();
  to.max_tokens = from.integer();
  to.rope_dim = from.integer();
  to.table_length = from.integer();
  to.cache = readLayout(from);
}

void readMergeStates(BlockReader &from, pmla_merge_states_problem &to) {
  to.size = sizeof to;
  to.dtype = from.word();
  to.out_dtype = from.word();
  to.parts = from.integer();
  to.batch = from.integer();
  to.query_tokens = from.integer();
  to.heads = from.integer();
  to.value_dim = from.integer();
}

void readCopyPages(BlockReader &from, pmla_copy_pages_problem &to) {
  to.size = sizeof to;
  to.max_pairs = from.integer();
  to.cache = readLayout(from);
}

}  // namespace

Problem readProblem(const double *block) {
  BlockReader from(block);
  Problem problem;
  memset(&problem, 0, sizeof problem);
  const uint32_t op = from.word();
  switch (op) {
    case PMLA_OP_DECODE:
      readDecode(from, problem.decode);
      break;
    case PMLA_OP_SPARSE_DECODE:
      readSparseDecode(from, problem.sparseDecode);
      break;
    case PMLA_OP_SPARSE_PREFILL:
      readSparsePrefill(from, problem.sparsePrefill);
      break;
    case PMLA_OP_APPEND_KV:
      readAppendKv(from, problem.appendKv);
      break;
    case PMLA_OP_MERGE_STATES:
      readMergeStates(from, problem.mergeStates);
      break;
    default:
      readCopyPages(from, problem.copyPages);
  }
  problem.head.op = op;
  return problem;
}

}  // namespace polymla
