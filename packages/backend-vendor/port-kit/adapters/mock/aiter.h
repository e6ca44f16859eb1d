// A mock of AITER's MLA decode (ROCm/aiter e404860, mla_decode_fwd): ragged lists of pages, of one token each by default, and
// a prefix sum of how many each request has. The original takes torch tensors and picks an assembled kernel by head count
// and query tokens. The arithmetic is lineage.h's, over pages of one token.
#pragma once

#include "lineage.h"

namespace aiter {

/** Head counts for which kernels are shipped; others are refused by name. */
inline bool hasKernel(int heads) { return heads == 16 || heads == 128; }

inline void mlaDecodeForward(const void *q, const void *kv, void *out, float *lse, const int *kvIndptr,
                             const int *kvIndices, int batch, int queryTokens, int heads, int64_t tokens,
                             float softmaxScale, bool causal) {
  for (int b = 0; b < batch; b++) {
    const int length = kvIndptr[b + 1] - kvIndptr[b];
    lineage::ForwardParams p{};
    p.type = lineage::Type::BF16;
    p.batch = 1;
    p.queryTokens = queryTokens;
    p.heads = heads;
    p.headDim = 576;
    p.valueDim = 512;
    p.pageSize = 1;
    p.blockTableWidth = length;
    p.pages = tokens;
    p.pageStride = 576;
    p.causal = causal;
    p.softmaxScale = softmaxScale;
    p.q = static_cast<const uint16_t *>(q) + static_cast<int64_t>(b) * queryTokens * heads * 576;
    p.kv = kv;
    p.blockTable = kvIndices + kvIndptr[b];
    p.seqlens = &length;
    p.out = static_cast<uint16_t *>(out) + static_cast<int64_t>(b) * queryTokens * heads * 512;
    p.lse = lse + static_cast<int64_t>(b) * heads * queryTokens;
    lineage::forward(p);
  }
}

} // namespace aiter
