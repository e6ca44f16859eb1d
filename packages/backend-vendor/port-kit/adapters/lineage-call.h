// A call in the lineage of FlashMLA's first release (mock/lineage.h), from the arguments of a launch.
#pragma once

#include "decode-port.h"
#include "mock/lineage.h"

namespace port {

/** Scratch of a call: q as the library wants it, and an lse where the caller wants none. */
inline uint64_t lineageBytes(const Decode &p) { return qBytes(p) + rowsOf(p) * 4; }

inline lineage::Type typeOf(const Decode &p) {
  return p.cache.format == PMLA_KV_E4M3  ? lineage::Type::E4M3
         : p.cache.format == PMLA_KV_F16 ? lineage::Type::FP16
                                         : lineage::Type::BF16;
}

/** All but the scheduler's metadata, which forks disagree about. Packs q into the workspace. */
inline lineage::ForwardParams lineageCall(const Decode &p, const pmla_decode_args &args) {
  auto *scratch = static_cast<char *>(args.workspace);
  packQ(p, args, scratch);
  lineage::ForwardParams call{};
  call.type = typeOf(p);
  call.batch = int(args.batch);
  call.queryTokens = int(p.query_tokens);
  call.heads = int(p.heads);
  call.headDim = int(p.cache.head_dim);
  call.valueDim = int(p.value_dim);
  call.pageSize = int(p.cache.page_size);
  call.blockTableWidth = int(p.block_table_width);
  call.pages = p.cache.pages;
  call.pageStride = p.cache.page_stride;
  call.causal = p.mask == PMLA_MASK_CAUSAL;
  call.softmaxScale = float(p.softmax_scale);
  // 1 without e4m3.
  call.descaleQ = float(args.descale_q);
  call.descaleK = float(args.descale_k);
  call.q = scratch;
  call.kv = args.cache;
  call.blockTable = args.block_table;
  call.seqlens = args.seqlens;
  call.out = args.out;
  call.lse = args.lse != nullptr ? args.lse : reinterpret_cast<float *>(scratch + qBytes(p));
  return call;
}

} // namespace port
