#include <string>

#include "../ops/schedule.h"
#include "ops-fixtures.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

constexpr double SCALE = 0.06;
constexpr double DESCALE = 0.75;
constexpr int32_t OUTSIDE[] = {-1, INT32_MIN, INT32_MAX};

/** Tokens to choose from, and what they stand for. */
struct Tokens {
  Cache cache;
  std::vector<std::vector<double>> keys;

  Tokens(uint32_t format, int64_t pages, int64_t pageSize, int64_t headDim, Generator &random)
      : cache(format, pages, pageSize, 1, headDim, 8) {
    for (int64_t i = 0; i < pages * pageSize; i++) {
      keys.push_back(cache.fill(i / pageSize, i % pageSize, 0, random));
      if (format != PMLA_KV_E4M3) continue;
      for (double &value : keys.back()) value *= DESCALE;
    }
  }
};

std::vector<int32_t> randomIndices(Generator &random, int64_t count, int64_t tokens) {
  std::vector<int32_t> indices(static_cast<size_t>(count));
  for (int32_t &index : indices) {
    const int64_t kind = integer(random, 0, 9);
    index = static_cast<int32_t>(kind == 0   ? OUTSIDE[integer(random, 0, 2)]
                                 : kind == 1 ? tokens
                                             : integer(random, 0, tokens - 1));
  }
  return indices;
}

std::vector<float> randomSinks(int64_t heads) {
  std::vector<float> sinks;
  for (int64_t head = 0; head < heads; head++) {
    sinks.push_back(head % 4 == 1 ? HUGE_VALF : head % 4 == 2 ? -HUGE_VALF : static_cast<float>(head) / 8);
  }
  return sinks;
}

void addSeen(std::vector<const double *> &seen, const Tokens &tokens, const int32_t *indices, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (indices[i] >= 0 && indices[i] < static_cast<int64_t>(tokens.keys.size())) {
      seen.push_back(tokens.keys[static_cast<size_t>(indices[i])].data());
    }
  }
}

double sinkFactor(const std::vector<float> &sinks, int64_t head, double lse) {
  return sinks.empty() || std::isinf(lse) ? 1 : 1 / (1 + std::exp(sinks[static_cast<size_t>(head)] - lse));
}

struct Spec {
  uint32_t format = PMLA_KV_BF16;
  int64_t topk = 100;
  uint32_t extraFormat = 0; // 0: no extra cache
  int64_t extraTopk = 0;
  bool lengths = false;
  bool sink = false;
  int64_t heads = 4;
  int64_t queryTokens = 2;
  int64_t headDim = 64;
  int64_t splitPages = 0;
  uint32_t dtype = PMLA_BF16;

  std::string name() const {
    char text[200];
    std::snprintf(text, sizeof text, "format %u topk %ld extra %u topk %ld%s%s h%ld s%ld split %ld q %u",
                  format, topk, extraFormat, extraTopk, lengths ? " lengths" : "", sink ? " sink" : "", heads,
                  queryTokens, splitPages, dtype);
    return text;
  }
};

void checkDecode(const Kernels &kernels, const Spec &spec, int64_t partitions, Generator &random) {
  constexpr int64_t BATCH = 5;
  const int64_t valueDim = spec.headDim == 64 ? 48 : 512;
  Tokens main(spec.format, 3, 61, spec.headDim, random);
  Tokens extra(spec.extraFormat == 0 ? static_cast<uint32_t>(PMLA_KV_BF16) : spec.extraFormat, 40, 2,
               spec.headDim, random);
  const int64_t rows = BATCH * spec.queryTokens;
  const std::vector<int32_t> indices = randomIndices(random, rows * spec.topk, 183);
  const std::vector<int32_t> extraIndices = randomIndices(random, rows * spec.extraTopk, 80);
  const std::vector<int32_t> topkLength = {0, 1, 64, -3, 1000};
  const std::vector<int32_t> extraLength = {7, 0, 1000, -1, 3};
  const std::vector<float> sinks = spec.sink ? randomSinks(spec.heads) : std::vector<float>();
  const std::vector<double> queries = numbers(random, rows * spec.heads * spec.headDim);
  Bytes q(queries.size() * static_cast<size_t>(elementBytes(spec.dtype)));
  for (size_t i = 0; i < queries.size(); i++)
    put(spec.dtype, queries[i], q.data() + static_cast<int64_t>(i) * elementBytes(spec.dtype));

  pmla_sparse_decode_problem problem{};
  problem.size = sizeof problem;
  problem.op = PMLA_OP_SPARSE_DECODE;
  problem.q_dtype = spec.dtype;
  problem.out_dtype = PMLA_F32;
  if (spec.lengths) problem.flags |= PMLA_SPARSE_TOPK_LENGTH;
  if (spec.extraFormat > 0) problem.flags |= PMLA_SPARSE_EXTRA;
  if (spec.extraFormat > 0 && spec.lengths) problem.flags |= PMLA_SPARSE_EXTRA_TOPK_LENGTH;
  if (spec.sink) problem.flags |= PMLA_SPARSE_SINK;
  problem.max_batch = BATCH;
  problem.query_tokens = spec.queryTokens;
  problem.heads = spec.heads;
  problem.value_dim = valueDim;
  problem.topk = spec.topk;
  problem.extra_topk = spec.extraTopk;
  problem.split_pages = spec.splitPages;
  problem.cache = main.cache.layout;
  if (spec.extraFormat > 0) problem.extra_cache = extra.cache.layout;
  problem.softmax_scale = SCALE;

  const OpFit fit = fitOp(kernels, reinterpret_cast<const pmla_problem *>(&problem));
  const std::unique_ptr<Plan> plan = makePlan(kernels, reinterpret_cast<const pmla_problem *>(&problem));
  std::vector<int32_t> schedule(static_cast<size_t>(fit.maxPartitions * SCHEDULE_STRIDE));
  std::vector<int32_t> numSplits(BATCH + 1);
  const int32_t *given = spec.lengths ? topkLength.data() : nullptr;
  const int32_t *givenExtra = spec.lengths && spec.extraFormat > 0 ? extraLength.data() : nullptr;
  run(*plan->schedule({sizeof(pmla_schedule_args), 0, BATCH, given, givenExtra,
                       std::min(partitions, fit.maxPartitions), fit.fixedOverhead, 64, spec.splitPages,
                       schedule.data(), numSplits.data()}),
      fit.scratchBytes, random);

  Output workspace(static_cast<int64_t>(fit.workspaceBytes));
  Output out(rows * spec.heads * valueDim * 4);
  Output lses(rows * spec.heads * 4);
  pmla_sparse_decode_args args{};
  args.size = sizeof args;
  args.batch = BATCH;
  args.q = q.data();
  args.q_strides[2] = spec.headDim;
  args.q_strides[1] = spec.heads * args.q_strides[2];
  args.q_strides[0] = spec.queryTokens * args.q_strides[1];
  args.cache = main.cache.data();
  args.indices = indices.data();
  args.topk_length = given;
  args.extra_cache = extra.cache.data();
  args.extra_indices = extraIndices.data();
  args.extra_topk_length = givenExtra;
  args.sink = spec.sink ? sinks.data() : nullptr;
  args.out = out.data();
  args.lse = lses.floats();
  args.descale_k = spec.format == PMLA_KV_E4M3 || spec.extraFormat == PMLA_KV_E4M3 ? DESCALE : 1;
  args.schedule = {schedule.data(), numSplits.data()};
  args.split_pages = spec.splitPages;
  args.workspace = workspace.data();
  run(*plan->launch(&args), fit.scratchBytes, random);
  if (!workspace.borderIntact() || !out.borderIntact() || !lses.borderIntact())
    fail("%s: wrote past its memory", spec.name().c_str());

  for (int64_t row = 0; row < rows * spec.heads; row++) {
    const int64_t head = row % spec.heads;
    const int64_t token = row / spec.heads;
    const int64_t request = token / spec.queryTokens;
    const auto count = [&](const int32_t *counts, int64_t topk) {
      return counts == nullptr ? topk : std::clamp<int64_t>(counts[request], 0, topk);
    };
    std::vector<const double *> seen;
    addSeen(seen, main, indices.data() + token * spec.topk, count(given, spec.topk));
    addSeen(seen, extra, extraIndices.data() + token * spec.extraTopk, count(givenExtra, spec.extraTopk));
    const Attended expected =
        attendTo(queries.data() + row * spec.headDim, seen, spec.headDim, valueDim, SCALE);
    const float lse =
        lses.floats()[(request * spec.heads + head) * spec.queryTokens + token % spec.queryTokens];
    bool right = close(lse, expected.lse, 1e-4, 1e-5);
    for (int64_t d = 0; d < valueDim; d++) {
      const double wanted = expected.out[static_cast<size_t>(d)] * sinkFactor(sinks, head, expected.lse);
      right = right && close(out.floats()[row * valueDim + d], wanted, 1e-2, 1e-2);
    }
    if (!right) {
      return fail("%s, sparse decode, %s: token %ld, head %ld: expected lse %g, found %g", kernels.name,
                  spec.name().c_str(), token, head, expected.lse, lse);
    }
  }
}

void checkPrefill(const Kernels &kernels, uint32_t dtype, int64_t heads, int64_t topk, bool lengths,
                  bool sink, Generator &random) {
  constexpr int64_t QUERIES = 4, KEYS = 120, HEAD_DIM = 64, VALUE_DIM = 48, STRIDE = HEAD_DIM + 16;
  std::vector<std::vector<double>> keys;
  Bytes kv(static_cast<size_t>(KEYS * STRIDE * elementBytes(dtype)), std::byte{0xff});
  for (int64_t key = 0; key < KEYS; key++) {
    keys.push_back(numbers(random, HEAD_DIM));
    for (int64_t d = 0; d < HEAD_DIM; d++) {
      put(dtype, keys.back()[static_cast<size_t>(d)], kv.data() + (key * STRIDE + d) * elementBytes(dtype));
    }
  }
  const std::vector<double> queries = numbers(random, QUERIES * heads * HEAD_DIM);
  Bytes q(queries.size() * static_cast<size_t>(elementBytes(dtype)));
  for (size_t i = 0; i < queries.size(); i++)
    put(dtype, queries[i], q.data() + static_cast<int64_t>(i) * elementBytes(dtype));
  const std::vector<int32_t> indices = randomIndices(random, QUERIES * topk, KEYS);
  const std::vector<int32_t> topkLength = {0, -1, 65, 1000};
  const std::vector<float> sinks = sink ? randomSinks(heads) : std::vector<float>();

  const pmla_sparse_prefill_problem problem = {sizeof problem,
                                               PMLA_OP_SPARSE_PREFILL,
                                               dtype,
                                               PMLA_F32,
                                               lengths * uint32_t{PMLA_SPARSE_TOPK_LENGTH} |
                                                   sink * uint32_t{PMLA_SPARSE_SINK},
                                               0,
                                               QUERIES,
                                               heads,
                                               KEYS,
                                               HEAD_DIM,
                                               VALUE_DIM,
                                               topk,
                                               SCALE};
  Output out(QUERIES * heads * VALUE_DIM * 4);
  Output lses(QUERIES * heads * 4);
  Output maxLogits(QUERIES * heads * 4);
  const pmla_sparse_prefill_args args = {sizeof args,
                                         0,
                                         q.data(),
                                         {heads * HEAD_DIM, HEAD_DIM},
                                         kv.data(),
                                         STRIDE,
                                         indices.data(),
                                         lengths ? topkLength.data() : nullptr,
                                         sink ? sinks.data() : nullptr,
                                         out.data(),
                                         maxLogits.floats(),
                                         lses.floats(),
                                         nullptr};
  const OpFit fit = fitOp(kernels, reinterpret_cast<const pmla_problem *>(&problem));
  run(*makePlan(kernels, reinterpret_cast<const pmla_problem *>(&problem))->launch(&args), fit.scratchBytes,
      random);

  for (int64_t row = 0; row < QUERIES * heads; row++) {
    const int64_t s = row / heads;
    std::vector<const double *> seen;
    const int64_t count = lengths ? std::clamp<int64_t>(topkLength[static_cast<size_t>(s)], 0, topk) : topk;
    for (int64_t i = 0; i < count; i++) {
      const int32_t index = indices[static_cast<size_t>(s * topk + i)];
      if (index >= 0 && index < KEYS) seen.push_back(keys[static_cast<size_t>(index)].data());
    }
    const Attended expected = attendTo(queries.data() + row * HEAD_DIM, seen, HEAD_DIM, VALUE_DIM, SCALE);
    bool right = close(lses.floats()[row], expected.lse, 1e-4, 1e-5) &&
                 close(maxLogits.floats()[row], expected.maxLogit, 1e-4, 1e-5);
    for (int64_t d = 0; d < VALUE_DIM; d++) {
      const double wanted =
          expected.out[static_cast<size_t>(d)] * sinkFactor(sinks, row % heads, expected.lse);
      right = right && close(out.floats()[row * VALUE_DIM + d], wanted, 1e-2, 1e-2);
    }
    if (!right)
      return fail("%s, sparse prefill, dtype %u, %ld heads, topk %ld: row %ld", kernels.name, dtype, heads,
                  topk, row);
  }
}

std::vector<Spec> specs() {
  std::vector<Spec> all;
  for (uint32_t format = PMLA_KV_BF16; format <= PMLA_KV_FP8_584; format++) {
    const int64_t headDim = format == PMLA_KV_FP8_656 ? 576 : format == PMLA_KV_FP8_584 ? 512 : 64;
    all.push_back({.format = format, .headDim = headDim});
    all.push_back({.format = format,
                   .extraFormat = format,
                   .extraTopk = 70,
                   .lengths = true,
                   .sink = true,
                   .headDim = headDim});
  }
  all.push_back({.topk = 300, .heads = 130, .queryTokens = 1});
  all.push_back({.topk = 300, .lengths = true, .sink = true, .splitPages = 1});
  all.push_back({.topk = 0});
  all.push_back({.topk = 0, .extraFormat = PMLA_KV_BF16, .extraTopk = 130});
  all.push_back({.topk = 128, .extraFormat = PMLA_KV_BF16, .extraTopk = 0, .lengths = true});
  for (const uint32_t dtype : {PMLA_BF16, PMLA_F16, PMLA_F32}) {
    all.push_back({.format = PMLA_KV_F16, .extraFormat = PMLA_KV_E4M3, .extraTopk = 90, .dtype = dtype});
    all.push_back(
        {.format = PMLA_KV_E4M3, .extraFormat = PMLA_KV_BF16, .extraTopk = 90, .sink = true, .dtype = dtype});
  }
  return all;
}

} // namespace

int main(int argc, char **argv) {
  Generator random(3);
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (const Spec &spec : specs()) {
      for (const int64_t partitions : {1, 3, 1000}) checkDecode(*kernels, spec, partitions, random);
    }
    for (const uint32_t dtype : {PMLA_BF16, PMLA_F16, PMLA_F32}) {
      checkPrefill(*kernels, dtype, 3, 100, false, true, random);
      checkPrefill(*kernels, dtype, 130, 64, true, false, random);
    }
    checkPrefill(*kernels, PMLA_BF16, 2, 0, false, true, random);
  }
  return finish();
}
