#include <string>

#include "../ops/schedule.h"
#include "ops-fixtures.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

struct Spec {
  std::vector<int32_t> lengths;
  uint32_t format = PMLA_KV_BF16;
  uint32_t qDtype = PMLA_BF16;
  uint32_t outDtype = PMLA_F32;
  uint32_t mask = PMLA_MASK_NONE;
  int64_t queryTokens = 1;
  int64_t heads = 4;
  int64_t headsKv = 1;
  int64_t headDim = 64;
  int64_t valueDim = 48;
  int64_t pageSize = 64;
  int64_t gap = 0;
  int64_t splitPages = 0;
  bool hostile = false; // some page ids are outside the cache
  bool strided = false;

  std::string name() const {
    char text[200];
    std::snprintf(text, sizeof text,
                  "format %u q %u out %u mask %u b%zu s%ld h%ld/%ld d%ld/%ld page %ld split %ld%s%s", format,
                  qDtype, outDtype, mask, lengths.size(), queryTokens, heads, headsKv, headDim, valueDim,
                  pageSize, splitPages, hostile ? " hostile" : "", strided ? " strided" : "");
    return text;
  }
};

struct Data {
  pmla_decode_problem problem{};
  std::unique_ptr<Cache> cache;
  std::vector<int32_t> table;
  std::vector<int32_t> treeMask;
  Bytes q;
  int64_t qStrides[3];
  std::vector<double> queries;                        // [batch, queryTokens, heads, headDim]
  std::vector<std::vector<std::vector<double>>> keys; // [batch][length · headsKv]; empty where invisible
};

Data make(const Spec &spec, Generator &random) {
  Data data;
  const auto batch = static_cast<int64_t>(spec.lengths.size());
  int64_t width = 1;
  for (const int32_t length : spec.lengths)
    width = std::max(width, (length + spec.pageSize - 1) / spec.pageSize);
  data.cache = std::make_unique<Cache>(spec.format, batch * width + 1, spec.pageSize, spec.headsKv,
                                       spec.headDim, spec.gap);
  std::vector<int32_t> ids(static_cast<size_t>(batch * width + 1));
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), random);

  const int32_t outside[] = {-1, INT32_MIN, INT32_MAX, static_cast<int32_t>(ids.size())};
  data.table.assign(static_cast<size_t>(batch * width), 2147480000);
  for (int64_t request = 0; request < batch; request++) {
    const int32_t length = std::max(spec.lengths[static_cast<size_t>(request)], 0);
    data.keys.emplace_back();
    for (int64_t j = 0; j < length; j++) {
      const int64_t page = j / spec.pageSize;
      int32_t &id = data.table[static_cast<size_t>(request * width + page)];
      if (j % spec.pageSize == 0) {
        id = spec.hostile && integer(random, 0, 2) == 0 ? outside[integer(random, 0, 3)] : ids.back();
        ids.pop_back();
      }
      for (int64_t head = 0; head < spec.headsKv; head++) {
        const bool inside = id >= 0 && id < data.cache->layout.pages;
        data.keys.back().push_back(inside ? data.cache->fill(id, j % spec.pageSize, head, random)
                                          : std::vector<double>());
      }
    }
  }
  data.queries = numbers(random, batch * spec.queryTokens * spec.heads * spec.headDim);
  const int64_t pad = spec.strided ? 16 : 0;
  data.qStrides[2] = spec.headDim + pad;
  data.qStrides[1] = spec.heads * data.qStrides[2] + pad;
  data.qStrides[0] = spec.queryTokens * data.qStrides[1] + pad;
  data.q.assign(static_cast<size_t>(batch * data.qStrides[0] * elementBytes(spec.qDtype)), std::byte{0xff});
  const double *from = data.queries.data();
  for (int64_t request = 0; request < batch; request++) {
    for (int64_t s = 0; s < spec.queryTokens; s++) {
      for (int64_t head = 0; head < spec.heads; head++) {
        const int64_t at = request * data.qStrides[0] + s * data.qStrides[1] + head * data.qStrides[2];
        for (int64_t d = 0; d < spec.headDim; d++)
          put(spec.qDtype, *from++, data.q.data() + (at + d) * elementBytes(spec.qDtype));
      }
    }
  }
  const int64_t words = (spec.queryTokens + 31) / 32;
  for (int64_t i = 0; i < batch * spec.queryTokens * words; i++)
    data.treeMask.push_back(static_cast<int32_t>(random()));

  data.problem = {sizeof(pmla_decode_problem),
                  PMLA_OP_DECODE,
                  spec.qDtype,
                  spec.outDtype,
                  spec.mask,
                  0,
                  batch,
                  spec.queryTokens,
                  spec.heads,
                  spec.valueDim,
                  width,
                  spec.splitPages,
                  data.cache->layout,
                  0.06};
  return data;
}

bool sees(const Spec &spec, const Data &data, int64_t request, int64_t s, int64_t j) {
  const int64_t length = spec.lengths[static_cast<size_t>(request)];
  const int64_t fromEnd = j - (length - spec.queryTokens);
  if (spec.mask == PMLA_MASK_CAUSAL) return fromEnd <= s;
  if (spec.mask == PMLA_MASK_NONE || fromEnd < 0) return true;
  const int64_t words = (spec.queryTokens + 31) / 32;
  const int32_t word =
      data.treeMask[static_cast<size_t>((request * spec.queryTokens + s) * words + fromEnd / 32)];
  return (static_cast<uint32_t>(word) >> (fromEnd % 32) & 1) != 0;
}

/** Leaves the number of partitions to the plan. */
constexpr int64_t CHOSEN = 0;

pmla_load loadOf(const Spec &spec, int64_t first, int64_t batch) {
  pmla_load load = {sizeof(pmla_load), 0, batch, 0, 0};
  for (int64_t request = first; request < first + batch; request++) {
    const int64_t pages = pageCount(spec.lengths[static_cast<size_t>(request)], spec.pageSize);
    load.total_pages += pages;
    load.longest_pages = std::max(load.longest_pages, pages);
  }
  return load;
}

struct Result {
  Output out;
  Output lse;
};

/** Runs requests [first, first + batch) of a problem made for all of them. */
Result decode(const Kernels &kernels, const Spec &spec, const Data &data, int64_t first, int64_t batch,
              int64_t partitions, Generator &random) {
  const OpFit fit = fitOp(kernels, reinterpret_cast<const pmla_problem *>(&data.problem));
  const std::unique_ptr<Plan> plan = makePlan(kernels, reinterpret_cast<const pmla_problem *>(&data.problem));
  std::vector<int32_t> rows(static_cast<size_t>(fit.maxPartitions * SCHEDULE_STRIDE));
  std::vector<int32_t> numSplits(static_cast<size_t>(data.problem.max_batch + 1));
  if (partitions == CHOSEN) {
    const pmla_choice choice = plan->choose(loadOf(spec, first, batch));
    if (choice.partitions < 1 || choice.partitions > fit.maxPartitions)
      fail("%s: chose %ld partitions", spec.name().c_str(), choice.partitions);
    partitions = choice.partitions;
  }
  partitions = std::min(partitions, fit.maxPartitions);
  run(*plan->schedule({sizeof(pmla_schedule_args), 0, batch, spec.lengths.data() + first, nullptr, partitions,
                       fit.fixedOverhead, spec.pageSize, spec.splitPages, rows.data(), numSplits.data()}),
      fit.scratchBytes, random);

  Output workspace(static_cast<int64_t>(fit.workspaceBytes));
  const int64_t rowCount = batch * spec.queryTokens * spec.heads;
  Result result{Output(rowCount * spec.valueDim * elementBytes(spec.outDtype)), Output(rowCount * 4)};
  pmla_decode_args args{};
  args.size = sizeof args;
  args.batch = batch;
  args.q = data.q.data() + first * data.qStrides[0] * elementBytes(spec.qDtype);
  std::copy(data.qStrides, data.qStrides + 3, args.q_strides);
  args.cache = data.cache->data();
  args.seqlens = spec.lengths.data() + first;
  args.block_table = data.table.data() + first * data.problem.block_table_width;
  args.tree_mask = data.treeMask.data() + first * spec.queryTokens * ((spec.queryTokens + 31) / 32);
  args.out = result.out.data();
  args.lse = result.lse.floats();
  args.descale_q = spec.qDtype == PMLA_E4M3 ? 0.5 : 1;
  args.descale_k = spec.format == PMLA_KV_E4M3 ? 0.75 : 1;
  args.schedule = {rows.data(), numSplits.data()};
  args.split_pages = spec.splitPages;
  args.workspace = workspace.data();
  run(*plan->launch(&args), fit.scratchBytes, random);
  if (!workspace.borderIntact() || !result.out.borderIntact() || !result.lse.borderIntact()) {
    fail("%s, %s: wrote past its memory", kernels.name, spec.name().c_str());
  }
  return result;
}

void compare(const Kernels &kernels, const Spec &spec, const Data &data, Result &found, int64_t partitions) {
  const double descaleK = spec.format == PMLA_KV_E4M3 ? 0.75 : 1;
  const double scale = 0.06 * (spec.qDtype == PMLA_E4M3 ? 0.5 : 1) * descaleK;
  const int64_t group = spec.heads / spec.headsKv;
  for (int64_t row = 0; row < static_cast<int64_t>(spec.lengths.size()) * spec.queryTokens * spec.heads;
       row++) {
    const int64_t head = row % spec.heads;
    const int64_t s = row / spec.heads % spec.queryTokens;
    const int64_t request = row / spec.heads / spec.queryTokens;
    std::vector<const double *> seen;
    const auto &keys = data.keys[static_cast<size_t>(request)];
    for (int64_t j = 0; j < spec.lengths[static_cast<size_t>(request)]; j++) {
      const auto &key = keys[static_cast<size_t>(j * spec.headsKv + head / group)];
      if (!key.empty() && sees(spec, data, request, s, j)) seen.push_back(key.data());
    }
    const Attended expected =
        attendTo(data.queries.data() + row * spec.headDim, seen, spec.headDim, spec.valueDim, scale);
    const float lse = found.lse.floats()[(request * spec.heads + head) * spec.queryTokens + s];
    bool right = close(lse, expected.lse, 1e-4, 1e-5);
    for (int64_t d = 0; d < spec.valueDim; d++) {
      const double out =
          get(spec.outDtype, found.out.data() + (row * spec.valueDim + d) * elementBytes(spec.outDtype));
      right = right && close(out, expected.out[static_cast<size_t>(d)] * descaleK, 1e-2, 1e-2);
    }
    if (!right) {
      return fail(
          "%s, %s, %ld partitions: request %ld of %d tokens, token %ld, head %ld: expected lse %g, found %g",
          kernels.name, spec.name().c_str(), partitions, request, spec.lengths[static_cast<size_t>(request)],
          s, head, expected.lse, lse);
    }
  }
}

void check(const Kernels &kernels, const Spec &spec, Generator &random) {
  const Data data = make(spec, random);
  const auto batch = static_cast<int64_t>(spec.lengths.size());
  for (const int64_t partitions : {CHOSEN, int64_t{1}, int64_t{5}, int64_t{1000}}) {
    Result found = decode(kernels, spec, data, 0, batch, partitions, random);
    compare(kernels, spec, data, found, partitions);
    const Result again = decode(kernels, spec, data, 0, batch, partitions, random);
    if (!(found.out == again.out) || !(found.lse == again.lse)) {
      fail("%s, %s: results depend on the order of units", kernels.name, spec.name().c_str());
    }
  }
  if (spec.splitPages == 0) return;
  Result together = decode(kernels, spec, data, 0, batch, 3, random);
  const int64_t bytes = spec.queryTokens * spec.heads * spec.valueDim * elementBytes(spec.outDtype);
  for (int64_t request = 0; request < batch; request++) {
    Result alone = decode(kernels, spec, data, request, 1, 1, random);
    if (std::memcmp(alone.out.data(), together.out.data() + request * bytes, static_cast<size_t>(bytes)) !=
        0) {
      fail("%s, %s: request %ld has other bits alone", kernels.name, spec.name().c_str(), request);
    }
  }
}

std::vector<Spec> specs() {
  const std::vector<int32_t> edges = {0, 1, 63, 64, 65, 200, 0, 130};
  std::vector<Spec> all;
  for (uint32_t format = PMLA_KV_BF16; format <= PMLA_KV_FP8_584; format++) {
    const bool packed = format >= PMLA_KV_FP8_656;
    Spec spec{.lengths = edges, .format = format};
    spec.qDtype = packed ? static_cast<uint32_t>(PMLA_BF16) : format;
    if (packed) spec.headDim = format == PMLA_KV_FP8_656 ? 576 : 512, spec.valueDim = 512;
    for (const int64_t pageSize : {1, 16, 64, 100, 256}) {
      Spec sized = spec;
      sized.pageSize = pageSize;
      sized.hostile = pageSize != 64;
      all.push_back(sized);
    }
    for (const uint32_t mask : {PMLA_MASK_CAUSAL, PMLA_MASK_TREE}) {
      Spec masked = spec;
      masked.mask = mask;
      masked.queryTokens = 3;
      masked.gap = 8;
      all.push_back(masked);
      masked.pageSize = 16;
      masked.hostile = true;
      all.push_back(masked);
    }
    spec.splitPages = 1;
    all.push_back(spec);
    spec.pageSize = 16;
    spec.splitPages = 3;
    all.push_back(spec);
  }
  for (const uint32_t out : {PMLA_BF16, PMLA_F16}) all.push_back({.lengths = edges, .outDtype = out});
  for (const uint32_t q : {PMLA_F16, PMLA_F32, PMLA_E4M3})
    all.push_back({.lengths = edges, .qDtype = q, .strided = true});
  for (const int64_t heads : {1, 17, 128, 130}) {
    all.push_back({.lengths = {90, 0, 129}, .mask = PMLA_MASK_CAUSAL, .queryTokens = 2, .heads = heads});
  }
  for (const int64_t queryTokens : {33, 70}) {
    for (const uint32_t mask : {PMLA_MASK_CAUSAL, PMLA_MASK_TREE}) {
      all.push_back(
          {.lengths = {1, 32, 33, 69, 71, 150}, .mask = mask, .queryTokens = queryTokens, .heads = 5});
    }
  }
  all.push_back({.lengths = edges,
                 .mask = PMLA_MASK_CAUSAL,
                 .queryTokens = 2,
                 .heads = 24,
                 .headsKv = 8,
                 .strided = true});
  // More tiles than a call of the kernel takes, with masks on both sides of where calls meet.
  for (const uint32_t format : {PMLA_KV_BF16, PMLA_KV_F32}) {
    all.push_back({.lengths = {2110, 40, 4170},
                   .format = format,
                   .qDtype = format,
                   .mask = PMLA_MASK_CAUSAL,
                   .queryTokens = 70,
                   .heads = 2});
  }
  all.push_back({.lengths = {-5, 70}});
  all.push_back({.lengths = {2000, 3, 0, 700}, .pageSize = 1});
  return all;
}

} // namespace

int main(int argc, char **argv) {
  Generator random(1);
  const std::vector<Spec> all = specs();
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (const Spec &spec : all) check(*kernels, spec, random);
  }
  return finish();
}
