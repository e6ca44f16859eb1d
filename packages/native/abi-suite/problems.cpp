#include "problems.h"

#include <kit/failure.h>

#include <cstring>
#include <limits>

namespace polymla::suite {

namespace {

pmla_kv_layout layoutOf(uint32_t format, int64_t pages, int64_t pageSize, int64_t headsKv, int64_t headDim,
                        int64_t pad = 0) {
  const int64_t token = format == PMLA_KV_FP8_656   ? 656
                        : format == PMLA_KV_FP8_584 ? 584
                                                    : headsKv * headDim;
  return {format, 0, pages, pageSize, headsKv, headDim, pageSize * token + pad};
}

AnyProblem blank() {
  AnyProblem any;
  memset(&any, 0, sizeof any);
  return any;
}

AnyProblem decode(uint32_t dtype, const pmla_kv_layout &cache, int64_t valueDim, int64_t heads, int64_t tokens,
                  uint32_t mask) {
  AnyProblem any = blank();
  auto &p = any.decode;
  p = {sizeof p, PMLA_OP_DECODE, dtype, dtype == PMLA_E4M3 ? uint32_t{PMLA_BF16} : dtype, mask, 0, 3, tokens, heads,
       valueDim, 3, 0, cache, 0.0417};
  return any;
}

AnyProblem sparseDecode(const pmla_kv_layout &cache, uint32_t flags, int64_t heads) {
  AnyProblem any = blank();
  auto &p = any.sparseDecode;
  p.size = sizeof p;
  p.op = PMLA_OP_SPARSE_DECODE;
  p.q_dtype = p.out_dtype = PMLA_BF16;
  p.flags = flags;
  p.max_batch = 2;
  p.query_tokens = 1;
  p.heads = heads;
  p.value_dim = 512;
  p.topk = 128;
  p.extra_topk = (flags & PMLA_SPARSE_EXTRA) != 0 ? 64 : 0;
  p.cache = cache;
  if ((flags & PMLA_SPARSE_EXTRA) != 0) p.extra_cache = cache;
  p.softmax_scale = 0.0417;
  return any;
}

AnyProblem sparsePrefill(uint32_t dtype, int64_t headDim) {
  AnyProblem any = blank();
  auto &p = any.sparsePrefill;
  p = {sizeof p, PMLA_OP_SPARSE_PREFILL, dtype, dtype, PMLA_SPARSE_TOPK_LENGTH, 0, 3, 64, 200, headDim, 512, 64, 0.05};
  return any;
}

AnyProblem appendKv(uint32_t dtype, const pmla_kv_layout &cache, uint32_t rotary) {
  AnyProblem any = blank();
  auto &p = any.appendKv;
  p = {sizeof p, PMLA_OP_APPEND_KV, dtype, rotary, 5, 64, 100, cache};
  return any;
}

AnyProblem mergeStates(uint32_t dtype, int64_t parts) {
  AnyProblem any = blank();
  auto &p = any.mergeStates;
  p = {sizeof p, PMLA_OP_MERGE_STATES, dtype, dtype, parts, 2, 2, 5, 512};
  return any;
}

AnyProblem copyPages(const pmla_kv_layout &cache) {
  AnyProblem any = blank();
  auto &p = any.copyPages;
  p = {sizeof p, PMLA_OP_COPY_PAGES, 3, cache};
  return any;
}

} // namespace

std::vector<Sample> samples() {
  const auto bf16 = layoutOf(PMLA_KV_BF16, 9, 64, 1, 576);
  const auto f16 = layoutOf(PMLA_KV_F16, 9, 64, 1, 576);
  const auto f32 = layoutOf(PMLA_KV_F32, 9, 64, 1, 576);
  const auto e4m3 = layoutOf(PMLA_KV_E4M3, 9, 64, 1, 576);
  const auto fp8656 = layoutOf(PMLA_KV_FP8_656, 9, 64, 1, 576);
  const auto fp8584 = layoutOf(PMLA_KV_FP8_584, 9, 64, 1, 512);
  return {
      {"decode bf16, 16 heads", decode(PMLA_BF16, bf16, 512, 16, 1, PMLA_MASK_NONE)},
      {"decode bf16, 128 heads, s_q 2, causal", decode(PMLA_BF16, bf16, 512, 128, 2, PMLA_MASK_CAUSAL)},
      {"decode fp16, 64 heads", decode(PMLA_F16, f16, 512, 64, 1, PMLA_MASK_NONE)},
      {"decode fp32, 16 heads", decode(PMLA_F32, f32, 512, 16, 1, PMLA_MASK_NONE)},
      {"decode e4m3, 64 heads", decode(PMLA_E4M3, e4m3, 512, 64, 1, PMLA_MASK_NONE)},
      {"sparse decode fp8-656", sparseDecode(fp8656, PMLA_SPARSE_TOPK_LENGTH, 64)},
      {"sparse decode fp8-584, extra cache, sink",
       sparseDecode(fp8584, PMLA_SPARSE_EXTRA | PMLA_SPARSE_SINK, 64)},
      {"sparse decode bf16", sparseDecode(bf16, 0, 16)},
      {"sparse prefill bf16", sparsePrefill(PMLA_BF16, 576)},
      {"append bf16", appendKv(PMLA_BF16, bf16, PMLA_ROTARY_INTERLEAVED)},
      {"append fp8-656", appendKv(PMLA_BF16, fp8656, PMLA_ROTARY_NEOX)},
      {"append fp8-584", appendKv(PMLA_BF16, fp8584, PMLA_ROTARY_NONE)},
      {"merge fp32", mergeStates(PMLA_F32, 3)},
      {"merge bf16", mergeStates(PMLA_BF16, 2)},
      {"copy pages bf16", copyPages(bf16)},
      {"copy pages fp8-656", copyPages(fp8656)},
  };
}

namespace {

uint32_t dtypeOf(Random &random) { return static_cast<uint32_t>(random.in(1, 4)); }

int64_t widthOf(Random &random) {
  static constexpr int64_t COMMON[] = {576, 512, 320, 192, 64, 16};
  return random.chance(3) ? 16 * random.in(1, 40) : COMMON[random.in(0, 5)];
}

/** 0 or 1 rarely, small mostly, sometimes beyond what fits anywhere. */
int64_t sizeOf(Random &random, int64_t common) {
  if (random.chance(8)) return random.in(0, 2);
  if (random.chance(12)) return int64_t{1} << random.in(20, 62);
  return random.in(1, common);
}

pmla_kv_layout anyLayout(Random &random, int64_t headsKv, int64_t headDim) {
  const auto format = static_cast<uint32_t>(random.in(1, 6));
  const int64_t width = format == PMLA_KV_FP8_656 ? 576 : format == PMLA_KV_FP8_584 ? 512 : headDim;
  return layoutOf(format, sizeOf(random, 100), random.chance(2) ? 64 : random.in(1, 130),
                  format >= PMLA_KV_FP8_656 ? 1 : headsKv, width, random.chance(3) ? 16 * random.in(0, 9) : 0);
}

/** Sets one word of the struct to something else. */
void damage(AnyProblem &any, Random &random) {
  unsigned char bytes[sizeof any];
  memcpy(bytes, &any, sizeof any);
  const int64_t words = any.head.size / 4;
  const int64_t word = random.in(2, words - 1);
  static constexpr int32_t VALUES[] = {0, 1, -1, 7, 64, 1000, std::numeric_limits<int32_t>::min(), 0x7fffffff};
  const int32_t value = VALUES[random.in(0, 7)];
  memcpy(bytes + 4 * word, &value, 4);
  memcpy(&any, bytes, sizeof any);
}

} // namespace

AnyProblem randomProblem(Random &random) {
  const int64_t headsKv = random.chance(4) ? random.in(1, 4) : 1;
  const int64_t width = widthOf(random);
  const auto cache = anyLayout(random, headsKv, width);
  const int64_t valueDim = random.chance(3) ? cache.head_dim : std::min<int64_t>(512, cache.head_dim);
  AnyProblem any = blank();
  switch (random.in(1, 6)) {
  case PMLA_OP_DECODE: {
    any = decode(dtypeOf(random), cache, valueDim, cache.heads_kv * random.in(1, 128), sizeOf(random, 5),
                 static_cast<uint32_t>(random.in(0, 2)));
    any.decode.out_dtype = static_cast<uint32_t>(random.in(1, 3));
    any.decode.max_batch = sizeOf(random, 64);
    any.decode.block_table_width = sizeOf(random, 300);
    any.decode.split_pages = random.chance(3) ? random.in(1, 64) : 0;
    break;
  }
  case PMLA_OP_SPARSE_DECODE:
    any = sparseDecode(cache, static_cast<uint32_t>(random.in(0, 15)), random.in(1, 128));
    any.sparseDecode.q_dtype = dtypeOf(random);
    any.sparseDecode.out_dtype = static_cast<uint32_t>(random.in(1, 3));
    any.sparseDecode.value_dim = valueDim;
    any.sparseDecode.topk = sizeOf(random, 3000);
    any.sparseDecode.max_batch = sizeOf(random, 64);
    break;
  case PMLA_OP_SPARSE_PREFILL:
    any = sparsePrefill(static_cast<uint32_t>(random.in(1, 3)), width);
    any.sparsePrefill.value_dim = std::min<int64_t>(512, width);
    any.sparsePrefill.query_tokens = sizeOf(random, 5000);
    any.sparsePrefill.keys = sizeOf(random, 5000);
    any.sparsePrefill.heads = random.in(1, 130);
    any.sparsePrefill.topk = sizeOf(random, 3000);
    break;
  case PMLA_OP_APPEND_KV:
    any = appendKv(static_cast<uint32_t>(random.in(1, 3)), cache, static_cast<uint32_t>(random.in(0, 2)));
    any.appendKv.rope_dim = std::min<int64_t>(random.chance(4) ? 0 : 64, cache.head_dim);
    any.appendKv.max_tokens = sizeOf(random, 5000);
    break;
  case PMLA_OP_MERGE_STATES:
    any = mergeStates(static_cast<uint32_t>(random.in(1, 3)), sizeOf(random, 20));
    any.mergeStates.out_dtype = static_cast<uint32_t>(random.in(1, 3));
    any.mergeStates.batch = sizeOf(random, 300);
    any.mergeStates.value_dim = width;
    break;
  default:
    any = copyPages(cache);
    any.copyPages.max_pairs = sizeOf(random, 500);
  }
  if (random.chance(4)) damage(any, random);
  return any;
}

AnyProblem randomSample(Random &random) {
  const auto all = samples();
  AnyProblem any = all[static_cast<size_t>(random.in(0, static_cast<int64_t>(all.size()) - 1))].problem;
  switch (any.head.op) {
  case PMLA_OP_DECODE:
    any.decode.heads = any.decode.cache.heads_kv * random.in(1, 70);
    any.decode.query_tokens = random.in(1, 4);
    any.decode.max_batch = random.in(1, 5);
    any.decode.mask = static_cast<uint32_t>(random.in(0, 1));
    any.decode.split_pages = random.chance(3) ? random.in(1, 2) : 0;
    break;
  case PMLA_OP_SPARSE_DECODE:
    any.sparseDecode.topk = random.in(1, 300);
    any.sparseDecode.max_batch = random.in(1, 4);
    break;
  case PMLA_OP_SPARSE_PREFILL:
    any.sparsePrefill.topk = random.in(1, 150);
    any.sparsePrefill.query_tokens = random.in(1, 6);
    break;
  case PMLA_OP_APPEND_KV:
    any.appendKv.max_tokens = random.in(1, 40);
    break;
  case PMLA_OP_MERGE_STATES:
    any.mergeStates.parts = random.in(1, 6);
    any.mergeStates.heads = random.in(1, 9);
    break;
  default:
    any.copyPages.max_pairs = random.in(1, 4);
  }
  return any;
}

bool isLegal(const AnyProblem &problem) {
  try {
    readProblem(&problem.head);
    return tooLarge(problem).empty();
  } catch (const Failure &) {
    return false;
  }
}

} // namespace polymla::suite
