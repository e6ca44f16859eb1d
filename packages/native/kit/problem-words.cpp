#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "problem.h"

namespace polymla {

namespace {

const char *dtypeName(uint32_t dtype) {
  switch (dtype) {
  case PMLA_BF16:
    return "bf16";
  case PMLA_F16:
    return "f16";
  case PMLA_F32:
    return "f32";
  case PMLA_E4M3:
    return "e4m3";
  default:
    return "unknown dtype";
  }
}

const char *formatName(uint32_t format) {
  static constexpr const char *NAMES[] = {"unknown format", "bf16", "fp16", "f32", "e4m3", "fp8-656", "fp8-584"};
  return NAMES[format <= PMLA_KV_FP8_584 ? format : 0];
}

[[gnu::format(printf, 1, 2)]] std::string print(const char *format, ...) {
  char text[192];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return text;
}

} // namespace

const char *opName(uint32_t op) {
  static constexpr const char *NAMES[] = {"unknown op", "decode",       "sparse_decode", "sparse_prefill",
                                          "append_kv",  "merge_states", "copy_pages"};
  return NAMES[op <= PMLA_OP_COPY_PAGES ? op : 0];
}

std::string describe(const AnyProblem &problem) {
  const char *op = opName(problem.head.op);
  switch (problem.head.op) {
  case PMLA_OP_DECODE: {
    const pmla_decode_problem &p = problem.decode;
    return print("%s (q %s, heads %" PRId64 ", query_tokens %" PRId64 ", value_dim %" PRId64
                 ", max_batch %" PRId64 ", cache %s %" PRId64 "/%" PRId64 ")",
                 op, dtypeName(p.q_dtype), p.heads, p.query_tokens, p.value_dim, p.max_batch,
                 formatName(p.cache.format), p.cache.head_dim, p.cache.page_size);
  }
  case PMLA_OP_SPARSE_DECODE: {
    const pmla_sparse_decode_problem &p = problem.sparseDecode;
    return print("%s (q %s, heads %" PRId64 ", query_tokens %" PRId64 ", topk %" PRId64 ", max_batch %" PRId64
                 ", cache %s)",
                 op, dtypeName(p.q_dtype), p.heads, p.query_tokens, p.topk, p.max_batch,
                 formatName(p.cache.format));
  }
  case PMLA_OP_SPARSE_PREFILL: {
    const pmla_sparse_prefill_problem &p = problem.sparsePrefill;
    return print("%s (%s, heads %" PRId64 ", query_tokens %" PRId64 ", topk %" PRId64 ", keys %" PRId64 ")",
                 op, dtypeName(p.dtype), p.heads, p.query_tokens, p.topk, p.keys);
  }
  case PMLA_OP_APPEND_KV: {
    const pmla_append_kv_problem &p = problem.appendKv;
    return print("%s (%s, max_tokens %" PRId64 ", cache %s)", op, dtypeName(p.dtype), p.max_tokens,
                 formatName(p.cache.format));
  }
  case PMLA_OP_MERGE_STATES: {
    const pmla_merge_states_problem &p = problem.mergeStates;
    return print("%s (%s, parts %" PRId64 ", batch %" PRId64 ", heads %" PRId64 ")", op, dtypeName(p.dtype),
                 p.parts, p.batch, p.heads);
  }
  default:
    return print("%s (cache %s)", op, formatName(problem.copyPages.cache.format));
  }
}

} // namespace polymla
