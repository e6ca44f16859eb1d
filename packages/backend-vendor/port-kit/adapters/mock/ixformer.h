// A mock of Iluvatar's ixformer.inference.functions.vllm_paged_attention_mla_fused, as a caller shows it: the vLLM port for CoreX,
// vllm/v1/attention/backends/mla/triton_mla.py. Neither ixformer nor Deep-Spark/FlashMLA could be read. One query token per
// request, q in two contiguous parts, a cache without gaps, 16 bits, the longest length as a number of the host's; no lse comes
// back. What the caller does not show is left open, and refused or left undone here: pages outside of the cache, and what a
// request of length 0 gets. The call also writes new keys (k_c_normed, k_pe); that part may be left out, and is.
#pragma once

#include "lineage.h"

namespace ixformer {

struct PagedAttentionMla {
  lineage::Type type;
  void *output;        // [batch, heads, 512]
  const void *qNope;   // [batch, heads, 512]
  const void *qPe;     // [batch, heads, 64]
  const void *kvCache; // [pages, pageSize, 576]
  float scale;
  const int *blockTables, *contextLens;
  int maxContextLen;
  // What tensors say of themselves.
  int batch, heads, pageSize, blockTableWidth;
  int64_t pages;
};

/** False: the call was refused. */
inline bool pagedAttentionMlaFused(const PagedAttentionMla &call) {
  std::vector<uint16_t> q(576), unused(512);
  std::vector<float> lse(1);
  for (int b = 0; b < call.batch; b++) {
    const int length = call.contextLens[b];
    if (length > call.maxContextLen) return false;
    if (length < 1) continue;
    for (int j = 0; j < length; j += call.pageSize) {
      const int page = call.blockTables[b * call.blockTableWidth + j / call.pageSize];
      if (page < 0 || page >= call.pages) return false;
    }
    for (int h = 0; h < call.heads; h++) {
      const int64_t row = static_cast<int64_t>(b) * call.heads + h;
      std::memcpy(q.data(), static_cast<const uint16_t *>(call.qNope) + row * 512, 512 * 2);
      std::memcpy(q.data() + 512, static_cast<const uint16_t *>(call.qPe) + row * 64, 64 * 2);
      lineage::ForwardParams p{};
      p.type = call.type;
      p.batch = p.queryTokens = p.heads = 1;
      p.headDim = 576;
      p.valueDim = 512;
      p.pageSize = call.pageSize;
      p.blockTableWidth = call.blockTableWidth;
      p.pages = call.pages;
      p.pageStride = static_cast<int64_t>(call.pageSize) * 576;
      p.softmaxScale = call.scale;
      p.q = q.data();
      p.kv = call.kvCache;
      p.blockTable = call.blockTables + static_cast<int64_t>(b) * call.blockTableWidth;
      p.seqlens = call.contextLens + b;
      p.out = static_cast<uint16_t *>(call.output) + row * 512;
      p.lse = lse.data();
      lineage::forward(p);
    }
  }
  return true;
}

} // namespace ixformer
