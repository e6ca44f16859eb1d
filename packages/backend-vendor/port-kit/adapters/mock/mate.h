// A mock of Moore Threads' mate (MooreThreads/mate 99bbf1f), of the call `mla` in csrc/mla_pybind.mu, the one that takes no
// metadata. Latent and rope part of queries and of the cache are tensors of their own with strides, so views of whole rows will do;
// of queries it takes the strides of requests and of rows, for which the tokens of a request must follow each other as its heads
// do. lse comes back as [batch, queryTokens, heads]. 16 bits, 512 and 64 wide, pages of 64 tokens; a grid for no request fails.
// What its kernels make of rows without keys and of pages that are not there, their callers do not show: here, what
// FlashMLA's lineage makes of them.
#pragma once

#include "lineage.h"

namespace mate {

struct Mla {
  lineage::Type type;
  int batch, queryTokens, heads, pageSize, pageTableWidth;
  int64_t pages;
  bool causal;
  float softmaxScale;
  const void *qNope, *qPe;
  int64_t qStrideBatch, qStrideRow;
  const void *ckv, *kpe;
  int64_t kvStridePage, kvStrideToken;
  const int *pageTable, *kvLen;
  void *out;
  float *lse;
};

/** False: the call was refused. The mock wants views of one cache, which the library does not. */
inline bool mla(const Mla &call) {
  const auto *ckv = static_cast<const uint16_t *>(call.ckv);
  if (call.type == lineage::Type::E4M3 || call.pageSize != 64 || call.batch < 1) return false;
  if (call.kpe != ckv + 512 || call.kvStrideToken != 576) return false;
  const int rows = call.queryTokens * call.heads;
  std::vector<uint16_t> q(static_cast<size_t>(call.batch) * rows * 576);
  for (int b = 0; b < call.batch; b++) {
    for (int row = 0; row < rows; row++) {
      const int64_t at = b * call.qStrideBatch + row * call.qStrideRow;
      uint16_t *const to = q.data() + (static_cast<int64_t>(b) * rows + row) * 576;
      std::memcpy(to, static_cast<const uint16_t *>(call.qNope) + at, 512 * 2);
      std::memcpy(to + 512, static_cast<const uint16_t *>(call.qPe) + at, 64 * 2);
    }
  }
  std::vector<float> lse(static_cast<size_t>(call.batch) * rows);
  lineage::ForwardParams params{};
  params.type = call.type;
  params.batch = call.batch;
  params.queryTokens = call.queryTokens;
  params.heads = call.heads;
  params.headDim = 576;
  params.valueDim = 512;
  params.pageSize = call.pageSize;
  params.blockTableWidth = call.pageTableWidth;
  params.pages = call.pages;
  params.pageStride = call.kvStridePage;
  params.causal = call.causal;
  params.softmaxScale = call.softmaxScale;
  params.q = q.data();
  params.kv = ckv;
  params.blockTable = call.pageTable;
  params.seqlens = call.kvLen;
  params.out = call.out;
  params.lse = lse.data();
  lineage::forward(params);
  for (int b = 0; b < call.batch; b++) {
    for (int row = 0; row < rows; row++) {
      const int token = row / call.heads, head = row % call.heads;
      call.lse[b * rows + row] = lse[static_cast<size_t>(b * rows + head * call.queryTokens + token)];
    }
  }
  return true;
}

} // namespace mate
