// A mock of Hygon's flash_mla as its callers show it: HYGON-AI/vllm-plugin-das, vllm_hcu/v1/attention/ops/flashmla.py (0e048c7)
// and backends/mla/flashmla.py (0267aa5); HYGON-AI/sglang-das, pull requests 200 and 201. The library itself
// (OpenDAS/MLAttention) could not be read. Two ways, which disagree about metadata: in 16 bits it is an object that the first
// call fills from the lengths of then, and every later call takes as it is; in e4m3 it is a pair of tensors. Pages have 64
// tokens, and a step without requests must not be launched. This is the e4m3 call of gfx938; older parts take q in 16 bits.
#pragma once

#include "lineage.h"

namespace hygon {

/** FlashMLASchedMeta: empty until a call fills it. */
struct SchedulerMetadata {
  std::vector<int> lengths;
};

inline SchedulerMetadata getMetadata() { return {}; }

/** flash_mla_with_kvcache. False: the call was refused. */
inline bool withKvCache(lineage::ForwardParams p, SchedulerMetadata &metadata) {
  if (p.type == lineage::Type::E4M3 || p.pageSize != 64 || p.batch < 1) return false;
  if (metadata.lengths.empty()) metadata.lengths.assign(p.seqlens, p.seqlens + p.batch);
  if (metadata.lengths.size() != static_cast<size_t>(p.batch)) return false;
  p.seqlens = metadata.lengths.data();
  lineage::forward(p);
  return true;
}

/** get_mla_decoding_metadata_dense_fp8 and fwd_kvcache_mla_fp8. */
inline void getMetadataDenseFp8(const int *seqlens, int batch, int *metadata, int *numSplits) {
  lineage::getMetadata(seqlens, batch, metadata, numSplits);
}
inline bool forwardFp8(const lineage::ForwardParams &p) {
  const bool isOfThisStep = p.tileSchedulerMetadata[0] == p.batch && p.numSplits[p.batch] == p.batch;
  if (p.type != lineage::Type::E4M3 || p.pageSize != 64 || p.batch < 1 || !isOfThisStep) return false;
  lineage::forward(p);
  return true;
}

} // namespace hygon
