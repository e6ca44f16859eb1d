// Many rows go to kernels of their own: what those make of them is what comes of the same rows, a few at a time.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "gpu/ops/append-kv.h"
#include "gpu/ops/merge-states.h"
#include "gpu/ops/rows.h"
#include "launches.h"

using namespace polymla;
using namespace polymla::test;

namespace {

constexpr int rows = static_cast<int>(manyRows) + 3;
constexpr int few = 1500;
static_assert(few < manyRows);

/** Numbers of any type, none of them large: of fp32, each of two of these. */
std::vector<uint16_t> madeNumbers(size_t count) {
  std::vector<uint16_t> numbers(count);
  for (size_t i = 0; i < count; i++) numbers[i] = static_cast<uint16_t>((i * 7919 + 104729) % 0x4400 | (i * 31 % 2 << 15));
  return numbers;
}

void append(OnDevice &on, uint32_t format, uint32_t dtype, uint32_t rotary, double descale) {
  constexpr int ropeDim = 8;
  const int headDim = format == PMLA_KV_FP8_656 ? 576 : format == PMLA_KV_FP8_584 ? 512 : 44;
  const int latentDim = headDim - ropeDim;
  const int size = dtype == PMLA_F32 ? 4 : 2;
  const std::vector<uint16_t> numbers = madeNumbers(static_cast<size_t>(rows) * headDim * size / 2);
  std::vector<int32_t> slots(rows), positions(rows);
  for (int i = 0; i < rows; i++) {
    slots[i] = i % 97 == 5 ? -1 : (i * 5) % rows;
    positions[i] = i % 4;
  }
  std::vector<float> table(4 * ropeDim);
  for (size_t i = 0; i < table.size(); i++) table[i] = static_cast<float>(i % 7) / 7 - 0.4f;
  pmla_append_kv_problem problem{};
  problem.dtype = dtype;
  problem.rotary = rotary;
  problem.max_tokens = rows;
  problem.rope_dim = ropeDim;
  problem.table_length = 4;
  const int tokenBytes = format == PMLA_KV_FP8_656 ? 656 : format == PMLA_KV_FP8_584 ? 584 : headDim * (format == PMLA_KV_E4M3 ? 1 : format == PMLA_KV_F32 ? 4 : 2);
  const int element = format == PMLA_KV_F32 ? 4 : format == PMLA_KV_BF16 || format == PMLA_KV_F16 ? 2 : 1;
  constexpr int pageSize = 61;
  problem.cache.format = format;
  problem.cache.pages = (rows + pageSize - 1) / pageSize;
  problem.cache.page_size = pageSize;
  problem.cache.heads_kv = 1;
  problem.cache.head_dim = headDim;
  problem.cache.page_stride = pageSize * tokenBytes / element;
  std::vector<uint8_t> caches[2];
  for (int way = 0; way < 2; way++) {
    caches[way].assign(problem.cache.pages * pageSize * static_cast<size_t>(tokenBytes), 0x5a);
    const int most = way == 0 ? rows : few;
    for (int begin = 0; begin < rows; begin += most) {
      pmla_append_kv_args args{};
      args.tokens = std::min(most, rows - begin);
      const char *const from = reinterpret_cast<const char *>(numbers.data());
      args.latent = from + static_cast<size_t>(begin) * latentDim * size;
      args.rope_key = from + (static_cast<size_t>(rows) * latentDim + static_cast<size_t>(begin) * ropeDim) * size;
      args.latent_strides[0] = args.latent_strides[1] = latentDim;
      args.rope_key_strides[0] = args.rope_key_strides[1] = ropeDim;
      args.slots = slots.data() + begin;
      args.positions = positions.data() + begin;
      args.rotary_table = table.data();
      args.cache = caches[way].data();
      args.descale_k = descale;
      launchAppendKv(problem, args, on.stream);
    }
    const std::string wrong = on.finish();
    CHECK(wrong.empty(), "%s", wrong.c_str());
  }
  CHECK(caches[0] == caches[1], "format %u of dtype %u, rotary %u, descale %g", format, dtype, rotary, descale);
  CHECK(caches[0] != std::vector<uint8_t>(caches[0].size(), 0x5a), "nothing was written");
}

void merge(OnDevice &on, uint32_t dtype, int parts) {
  constexpr int valueDim = 536;
  const int size = dtype == PMLA_F32 ? 4 : 2;
  const std::vector<uint16_t> numbers = madeNumbers(static_cast<size_t>(parts) * rows * valueDim * size / 2);
  std::vector<float> lses(static_cast<size_t>(parts) * rows);
  for (size_t i = 0; i < lses.size(); i++) lses[i] = i % 5 == 0 ? INFINITY : static_cast<float>(i * 37 % 101) / 20;
  std::vector<float> found[2];
  for (int way = 0; way < 2; way++) {
    found[way].assign(static_cast<size_t>(rows) * (valueDim + 1), -7);
    const int most = way == 0 ? rows : few;
    for (int begin = 0; begin < rows; begin += most) {
      pmla_merge_states_problem problem{};
      problem.dtype = dtype;
      problem.out_dtype = PMLA_F32;
      problem.parts = parts;
      problem.batch = std::min(most, rows - begin);
      problem.query_tokens = 1;
      problem.heads = 1;
      problem.value_dim = valueDim;
      pmla_merge_states_args args{};
      args.outs = reinterpret_cast<const char *>(numbers.data()) + static_cast<size_t>(begin) * valueDim * size;
      args.lses = lses.data() + begin;
      args.outs_strides[0] = static_cast<int64_t>(rows) * valueDim;
      args.outs_strides[1] = args.outs_strides[2] = args.outs_strides[3] = valueDim;
      args.lses_strides[0] = rows;
      args.lses_strides[1] = args.lses_strides[2] = 1;
      args.out = found[way].data() + static_cast<size_t>(begin) * valueDim;
      args.lse = found[way].data() + static_cast<size_t>(rows) * valueDim + begin;
      launchMergeStates(problem, args, on.stream);
    }
    const std::string wrong = on.finish();
    CHECK(wrong.empty(), "%s", wrong.c_str());
  }
  CHECK(std::memcmp(found[0].data(), found[1].data(), found[0].size() * sizeof(float)) == 0, "dtype %u, %d parts", dtype, parts);
}

} // namespace

int main() {
  for (int device = 0; device < 3; device++) {
    OnDevice on(device);
    for (const uint32_t dtype : {PMLA_BF16, PMLA_F32}) {
      for (const uint32_t format : {PMLA_KV_BF16, PMLA_KV_FP8_656, PMLA_KV_FP8_584}) append(on, format, dtype, PMLA_ROTARY_NEOX, 1);
      // A power of two, any divisor, one with quotients beside ties, and one that doubles divide by.
      for (const double descale : {0.25, 3.0, 4.4, 1e-39}) append(on, PMLA_KV_E4M3, dtype, PMLA_ROTARY_INTERLEAVED, descale);
      for (const int parts : {1, 3}) merge(on, dtype, parts);
    }
  }
  std::puts("all alike");
}
