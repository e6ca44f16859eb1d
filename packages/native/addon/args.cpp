#include "args.h"

namespace polymla {
namespace {

template <typename Args>
Args sized() {
  Args args{};
  args.size = sizeof args;
  return args;
}

void readSchedule(BlockReader &from, pmla_schedule &to) {
  to.rows = from.pointer<const int32_t>();
  to.num_splits = from.pointer<const int32_t>();
}

}  // namespace

pmla_schedule_args readScheduleArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_schedule_args>();
  args.batch = from.integer();
  args.lengths = from.pointer<const int32_t>();
  args.extra_lengths = from.pointer<const int32_t>();
  args.partitions = from.integer();
  args.fixed_overhead = from.integer();
  args.page_size = from.integer();
  args.split_pages = from.integer();
  args.rows = from.pointer<int32_t>();
  args.num_splits = from.pointer<int32_t>();
  return args;
}

pmla_decode_args readDecodeArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_decode_args>();
  args.batch = from.integer();
  args.q = from.pointer<const void>();
  from.integers(args.q_strides);
  args.cache = from.pointer<const void>();
  args.seqlens = from.pointer<const int32_t>();
  args.block_table = from.pointer<const int32_t>();
  args.tree_mask = from.pointer<const int32_t>();
  args.out = from.pointer<void>();
  args.lse = from.pointer<float>();
  args.descale_q = from.number();
  args.descale_k = from.number();
  readSchedule(from, args.schedule);
  args.split_pages = from.integer();
  args.workspace = from.pointer<void>();
  return args;
}

pmla_sparse_decode_args readSparseDecodeArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_sparse_decode_args>();
  args.batch = from.integer();
  args.q = from.pointer<const void>();
  from.integers(args.q_strides);
  args.cache = from.pointer<const void>();
  args.indices = from.pointer<const int32_t>();
  args.topk_length = from.pointer<const int32_t>();
  args.extra_cache = from.pointer<const void>();
  args.extra_indices = from.pointer<const int32_t>();
  args.extra_topk_length = from.pointer<const int32_t>();
  args.sink = from.pointer<const float>();
  args.out = from.pointer<void>();
  args.lse = from.pointer<float>();
  args.descale_k = from.number();
  readSchedule(from, args.schedule);
  args.split_pages = from.integer();
  args.workspace = from.pointer<void>();
  return args;
}

pmla_sparse_prefill_args readSparsePrefillArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_sparse_prefill_args>();
  args.q = from.pointer<const void>();
  from.integers(args.q_strides);
  args.kv = from.pointer<const void>();
  args.kv_stride = from.integer();
  args.indices = from.pointer<const int32_t>();
  args.topk_length = from.pointer<const int32_t>();
  args.sink = from.pointer<const float>();
  args.out = from.pointer<void>();
  args.max_logits = from.pointer<float>();
  args.lse = from.pointer<float>();
  args.workspace = from.pointer<void>();
  return args;
}

pmla_append_kv_args readAppendKvArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_append_kv_args>();
  args.tokens = from.integer();
  args.latent = from.pointer<const void>();
  from.integers(args.latent_strides);
  args.rope_key = from.pointer<const void>();
  from.integers(args.rope_key_strides);
  args.slots = from.pointer<const int32_t>();
  args.positions = from.pointer<const int32_t>();
  args.rotary_table = from.pointer<const float>();
  args.cache = from.pointer<void>();
  args.descale_k = from.number();
  args.workspace = from.pointer<void>();
  return args;
}

pmla_merge_states_args readMergeStatesArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_merge_states_args>();
  args.outs = from.pointer<const void>();
  from.integers(args.outs_strides);
  args.lses = from.pointer<const float>();
  from.integers(args.lses_strides);
  args.out = from.pointer<void>();
  args.lse = from.pointer<float>();
  args.workspace = from.pointer<void>();
  return args;
}

pmla_copy_pages_args readCopyPagesArgs(const double *block) {
  BlockReader from(block);
  auto args = sized<pmla_copy_pages_args>();
  args.pairs = from.integer();
  args.cache = from.pointer<void>();
  args.pages = from.pointer<const int32_t>();
  args.workspace = from.pointer<void>();
  return args;
}

}  // namespace polymla
