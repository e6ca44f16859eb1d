// What the adapters below have in common: dense decode of 576 by 512 over a paged cache, one plan per problem.
#pragma once

#include "../worked/device.h"

#include <vector>

namespace port {

using Decode = pmla_decode_problem;

inline bool isWhole(const pmla_problem *problem) {
  if (problem == nullptr || problem->size < sizeof *problem) return false;
  return problem->op != PMLA_OP_DECODE || problem->size >= sizeof(Decode);
}

/** What no fork of that lineage does; NULL when there is nothing of it, and `read` is the problem. `fp8`: e4m3, too. */
inline const char *whyNotDecode(const pmla_problem *problem, Decode &read, bool fp8) {
  if (problem->op != PMLA_OP_DECODE) return "op: the vendor's library has dense decode alone";
  if (pmla_read(&read, sizeof read, problem, sizeof read) != PMLA_OK) return "problem: its struct is not of version 1.0";
  const bool isFp8 = fp8 && read.cache.format == PMLA_KV_E4M3;
  if (read.cache.format != PMLA_KV_BF16 && read.cache.format != PMLA_KV_F16 && !isFp8) {
    return fp8 ? "cache.format: only bf16, fp16 and e4m3" : "cache.format: only bf16 and fp16";
  }
  if (read.q_dtype != read.cache.format) return "q_dtype: the cache's type alone";
  if (read.out_dtype != (isFp8 ? uint32_t{PMLA_BF16} : read.q_dtype)) return "out_dtype: that of q, bf16 for e4m3";
  if (read.mask != PMLA_MASK_NONE && read.mask != PMLA_MASK_CAUSAL) return "mask: none or causal, no tree";
  if (read.cache.head_dim != 576 || read.value_dim != 512) return "head_dim, value_dim: 576 and 512 alone";
  if (read.cache.heads_kv != 1) return "heads_kv: 1 alone";
  if (read.split_pages != 0) return "split_pages: the vendor's library splits as it likes";
  constexpr int64_t LARGEST = 1 << 20;
  const int64_t sizes[] = {read.max_batch, read.query_tokens, read.heads, read.block_table_width, read.cache.page_size};
  for (const int64_t size : sizes) {
    if (size < 0 || size > LARGEST) return "sizes: expected 0 to 2^20";
  }
  if (read.query_tokens < 1 || read.heads < 1 || read.cache.page_size < 1) return "sizes: expected at least 1";
  if (read.max_batch * read.query_tokens > LARGEST || read.block_table_width * read.cache.page_size > INT32_MAX) {
    return "sizes: the vendor's library counts in 32 bits";
  }
  if (read.cache.pages < 0 || read.cache.pages > INT32_MAX) return "cache.pages: expected 0 to 2^31";
  if (read.cache.page_stride < read.cache.page_size * 576 || read.cache.page_stride > INT64_MAX / (INT32_MAX * 2LL)) {
    return "cache.page_stride: expected a page or more";
  }
  if (!(read.softmax_scale > -1e30 && read.softmax_scale < 1e30)) return "softmax_scale: expected a number";
  return nullptr;
}

inline uint64_t rowsOf(const Decode &p) { return uint64_t(p.max_batch * p.query_tokens) * uint64_t(p.heads); }
inline int64_t elementBytes(const Decode &p) { return p.q_dtype == PMLA_E4M3 ? 1 : 2; }
inline uint64_t qBytes(const Decode &p) { return (rowsOf(p) * 576 * uint64_t(elementBytes(p)) + 255) / 256 * 256; }

/** For libraries that know no stride of pages. */
inline const char *whyNotDensePages(const Decode &p) {
  return p.cache.page_stride != p.cache.page_size * 576 ? "page_stride: pages without gaps alone" : nullptr;
}

/** Tokens of a request: a length on the device is clamped to what the block table holds. */
inline int64_t lengthOf(const Decode &p, const pmla_decode_args &args, int64_t request) {
  const int64_t length = args.seqlens[request], most = p.block_table_width * p.cache.page_size;
  return length < 0 ? 0 : length < most ? length : most;
}

/** The page of a token of a request; −1 where the cache has none of that id. */
inline int pageOf(const Decode &p, const pmla_decode_args &args, int64_t request, int64_t token) {
  const int page = args.block_table[request * p.block_table_width + token / p.cache.page_size];
  return page >= 0 && page < p.cache.pages ? page : -1;
}

/** The vendors' calls read q without strides: copies it, to qBytes of scratch. On a GPU that is a kernel in the stream. */
inline void packQ(const Decode &p, const pmla_decode_args &args, void *to) {
  const int64_t width = elementBytes(p);
  const auto *q = static_cast<const char *>(args.q);
  auto *row = static_cast<char *>(to);
  for (int64_t b = 0; b < args.batch; b++) {
    for (int64_t s = 0; s < p.query_tokens; s++) {
      for (int64_t h = 0; h < p.heads; h++, row += 576 * width) {
        const int64_t at = b * args.q_strides[0] + s * args.q_strides[1] + h * args.q_strides[2];
        std::memcpy(row, q + at * width, size_t(576 * width));
      }
    }
  }
}

/** A plan of a port P: P::whyNot(problem) says what this vendor lacks, P(problem) makes what launches share. */
template <class P> const char *whyNot(const pmla_problem *problem, Decode &read) {
  const char *why = whyNotDecode(problem, read, P::FP8);
  return why != nullptr ? why : P::whyNot(read);
}

template <class P> pmla_status fit(pmla_device, const pmla_problem *problem, pmla_fit *answer, pmla_error *error) {
  if (!isWhole(problem)) return fail(error, PMLA_INVALID_ARGUMENT, "problem: its struct ends too early");
  Decode read;
  if (const char *why = whyNot<P>(problem, read)) return refuse(answer, why);
  return accept(answer, P::workspaceBytes(read));
}

template <class P> pmla_status planNew(pmla_device, const pmla_problem *problem, pmla_plan *plan, pmla_error *error) {
  if (!isWhole(problem)) return fail(error, PMLA_INVALID_ARGUMENT, "problem: its struct ends too early");
  Decode read;
  if (const char *why = whyNot<P>(problem, read)) return fail(error, PMLA_UNSUPPORTED, why);
  try {
    *plan = reinterpret_cast<pmla_plan>(new P(read));
    return PMLA_OK;
  } catch (const std::bad_alloc &) {
    return outOfMemory(error);
  }
}

template <class P>
pmla_status decode(pmla_plan plan, pmla_stream, const pmla_decode_args *args, pmla_error *error) {
  try {
    return reinterpret_cast<P *>(plan)->launch(*args, error);
  } catch (const std::bad_alloc &) {
    return outOfMemory(error);
  }
}

template <class P> pmla_library tableOf(const char *name) {
  pmla_library t = makeTable(name);
  t.fit = fit<P>;
  t.plan_new = planNew<P>;
  t.plan_free = [](pmla_plan plan) { delete reinterpret_cast<P *>(plan); };
  t.decode = decode<P>;
  return t;
}

} // namespace port
