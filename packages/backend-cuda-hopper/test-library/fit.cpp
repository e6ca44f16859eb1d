// What the plans answer to problems, on a device of 132 multiprocessors.
#include <functional>
#include <string>

#include "../src/plans/decode-shape.h"
#include "gpu/library/device.h"
#include "gpu/library/plan.h"
#include "check.h"

using namespace polymla;

namespace {

constexpr int multiprocessors = 132;

pmla_decode_problem decodeProblem() {
  pmla_decode_problem problem{};
  problem.size = sizeof problem;
  problem.op = PMLA_OP_DECODE;
  problem.q_dtype = problem.out_dtype = PMLA_BF16;
  problem.mask = PMLA_MASK_CAUSAL;
  problem.max_batch = 4;
  problem.query_tokens = 2;
  problem.heads = 128;
  problem.value_dim = 512;
  problem.block_table_width = 100;
  problem.cache = {PMLA_KV_BF16, 0, 1000, 64, 1, 576, 64 * 576};
  problem.softmax_scale = 0.04;
  return problem;
}

using Change = std::function<void(pmla_decode_problem&)>;

Fit fitOf(const Change& change) {
  pmla_decode_problem problem = decodeProblem();
  change(problem);
  return fitDecode(multiprocessors, problem);
}

/** Refused for a reason with these words in it, which pmla_fit has room for. */
void expectRefused(const char* words, const Change& change) {
  const Fit fit = fitOf(change);
  EXPECT(fit.grade == PMLA_FIT_NO);
  if (!EXPECT(fit.why.find(words) != std::string::npos)) std::fprintf(stderr, "  '%s', not '%s'\n", fit.why.c_str(), words);
  EXPECT(fit.why.size() < sizeof(pmla_fit::why));
}

void checkRefusals() {
  using P = pmla_decode_problem;
  expectRefused("q_dtype is f32", [](P& p) { p.q_dtype = p.out_dtype = PMLA_F32; });
  expectRefused("out_dtype is f32", [](P& p) { p.out_dtype = PMLA_F32; });
  expectRefused("cache.format", [](P& p) { p.cache.format = PMLA_KV_F16; });
  expectRefused("cache.format", [](P& p) { p.cache.format = PMLA_KV_FP8_656; });
  expectRefused("cache.head_dim is 320", [](P& p) { p.cache.head_dim = 320; });
  expectRefused("value_dim is 256", [](P& p) { p.value_dim = 256; });
  for (const int64_t size : {1, 8, 48, 96}) expectRefused("cache.page_size is ", [&](P& p) { p.cache.page_size = size; });
  expectRefused("split_pages is 1", [](P& p) { p.split_pages = 1, p.max_batch = 1 << 20, p.block_table_width = 1 << 12; });
  expectRefused("softmax_scale is -", [](P& p) { p.softmax_scale = -1; });
  expectRefused("cache.pages is 0", [](P& p) { p.cache.pages = 0; });
  expectRefused("cache.page_stride is 36868", [](P& p) { p.cache.page_stride += 4; });
  expectRefused("query_tokens · heads", [](P& p) { p.query_tokens = 1 << 20; });
  expectRefused("max_batch is 2147483647", [](P& p) { p.max_batch = INT32_MAX, p.heads = 1 << 18; });
}

void checkDecode() {
  for (const int64_t size : {16, 32, 64, 128, 192}) {
    const Fit fit = fitOf([&](auto& p) { p.cache.page_size = size, p.cache.page_stride = size * 576; });
    EXPECT(fit.grade == PMLA_FIT_TUNED);
    // The host's schedule counts pages of the cache.
    EXPECT((fit.maxPartitions > 0) == (size == 64));
    EXPECT(fit.schedules == (size == 64));
  }
  for (const int64_t heads : {1, 16, 32, 33, 64, 128}) {
    for (const int64_t headsKv : {1, 2, 8, 200}) {
      const Fit fit = fitOf([&](auto& p) { p.heads = heads * headsKv, p.cache.heads_kv = headsKv, p.cache.page_stride *= headsKv; });
      EXPECT(fit.grade == PMLA_FIT_TUNED);
      EXPECT(fit.maxPartitions >= 1 && fit.maxPartitions * headsKv <= std::max<int64_t>(multiprocessors, headsKv));
      // Room for the partial results of all splits.
      EXPECT(fit.workspaceBytes >= static_cast<uint64_t>((4 + fit.maxPartitions - 1) * 2 * heads * headsKv * 512 * 2));
    }
  }
}

/** Splits of a fixed size: whole pages of 64 tokens, and room for the results of each. */
void checkSplits() {
  for (const int64_t size : {16, 32, 64, 128}) {
    for (const int64_t splitPages : {1, 3, 1000}) {
      const auto change = [&](auto& p) {
        p.cache.page_size = size, p.cache.page_stride = size * 576;
        p.block_table_width = 50, p.split_pages = splitPages;
      };
      pmla_decode_problem problem = decodeProblem();
      change(problem);
      const DecodeShape shape(multiprocessors, problem);
      EXPECT(shape.splitPages >= 1 && shape.splitColumns * size == shape.splitPages * 64);
      EXPECT(shape.splitPages * 64 >= std::min(splitPages, problem.block_table_width) * size);
      EXPECT(shape.mostSplits * shape.splitColumns >= problem.max_batch * problem.block_table_width);
      EXPECT(shape.counters == 0);
      const Fit fit = fitDecode(multiprocessors, problem);
      EXPECT(fit.grade == PMLA_FIT_TUNED && fit.schedules == (size == 64));
      EXPECT(fit.workspaceBytes >= static_cast<uint64_t>(shape.mostSplits * problem.query_tokens * problem.heads * 512 * 2));
    }
  }
}

void checkOps() {
  AnyProblem problem{};
  for (const uint32_t op : {PMLA_OP_APPEND_KV, PMLA_OP_MERGE_STATES, PMLA_OP_COPY_PAGES}) {
    problem.head.op = op;
    EXPECT(fitPlan({multiprocessors}, problem).grade == PMLA_FIT_TUNED);
  }
  for (const uint32_t op : {PMLA_OP_SPARSE_DECODE, PMLA_OP_SPARSE_PREFILL}) {
    problem.head.op = op;
    EXPECT(fitPlan({multiprocessors}, problem).why.find("op is sparse_") == 0);
  }
}

}  // namespace

int main() {
  checkRefusals();
  checkDecode();
  checkSplits();
  checkOps();
  return test::finish();
}
