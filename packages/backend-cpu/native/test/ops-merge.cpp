#include "ops-fixtures.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

constexpr int64_t BATCH = 2, TOKENS = 3, HEADS = 5, VALUE_DIM = 48;

/** Merges random parts of which some are empty and hold NaN. `pad`: numbers between rows. */
void check(const Kernels &kernels, int64_t parts, uint32_t dtype, uint32_t outDtype, int64_t pad,
           Generator &random) {
  const int64_t rows = parts * BATCH * TOKENS * HEADS;
  const int64_t stride = VALUE_DIM + pad;
  const float empty[] = {HUGE_VALF, -HUGE_VALF, NAN};
  std::vector<float> lses; // [parts, batch, heads, tokens]
  for (int64_t i = 0; i < rows; i++) {
    lses.push_back(integer(random, 0, 2) == 0 ? empty[integer(random, 0, 2)]
                                              : static_cast<float>(5 + 4 * number(random)));
  }
  const auto lseAt = [&](int64_t part, int64_t request, int64_t s, int64_t head) {
    return lses[static_cast<size_t>(((part * BATCH + request) * HEADS + head) * TOKENS + s)];
  };
  std::vector<double> values;
  Bytes outs(static_cast<size_t>(rows * stride * elementBytes(dtype)), std::byte{0xff});
  for (int64_t row = 0; row < rows; row++) {
    const int64_t head = row % HEADS, s = row / HEADS % TOKENS, request = row / HEADS / TOKENS % BATCH,
                  part = row / HEADS / TOKENS / BATCH;
    for (int64_t d = 0; d < VALUE_DIM; d++) {
      values.push_back(number(random));
      if (std::isfinite(lseAt(part, request, s, head)))
        put(dtype, values.back(), outs.data() + (row * stride + d) * elementBytes(dtype));
    }
  }
  const pmla_merge_states_problem problem = {
      sizeof problem, PMLA_OP_MERGE_STATES, dtype, outDtype, parts, BATCH, TOKENS, HEADS, VALUE_DIM};
  Output out(BATCH * TOKENS * HEADS * VALUE_DIM * elementBytes(outDtype));
  Output lse(BATCH * TOKENS * HEADS * 4);
  const pmla_merge_states_args args = {
      sizeof args, 0,
      outs.data(), {BATCH * TOKENS * HEADS * stride, TOKENS * HEADS * stride, HEADS * stride, stride},
      lses.data(), {BATCH * HEADS * TOKENS, HEADS * TOKENS, TOKENS},
      out.data(),  lse.floats(),
      nullptr};
  const OpFit fit = fitOp(kernels, reinterpret_cast<const pmla_problem *>(&problem));
  run(*makePlan(kernels, reinterpret_cast<const pmla_problem *>(&problem))->launch(&args), fit.scratchBytes,
      random);
  if (!out.borderIntact() || !lse.borderIntact()) fail("%s: wrote past its memory", kernels.name);

  const double relative = outDtype == PMLA_F32 ? 0x1p-18 : outDtype == PMLA_F16 ? 1.05 / 2048 : 1.05 / 256;
  for (int64_t row = 0; row < BATCH * TOKENS * HEADS; row++) {
    const int64_t head = row % HEADS, s = row / HEADS % TOKENS, request = row / HEADS / TOKENS;
    double largest = -HUGE_VAL;
    for (int64_t part = 0; part < parts; part++) {
      const double l = lseAt(part, request, s, head);
      if (std::isfinite(l)) largest = std::max(largest, l);
    }
    double sum = 0;
    std::vector<double> expected(VALUE_DIM, 0);
    for (int64_t part = 0; part < parts; part++) {
      const double l = lseAt(part, request, s, head);
      if (!std::isfinite(l)) continue;
      sum += std::exp(l - largest);
      const int64_t from = ((part * BATCH + request) * TOKENS + s) * HEADS + head;
      for (int64_t d = 0; d < VALUE_DIM; d++) {
        expected[static_cast<size_t>(d)] +=
            std::exp(l - largest) * values[static_cast<size_t>(from * VALUE_DIM + d)];
      }
    }
    bool right = close(lse.floats()[(request * HEADS + head) * TOKENS + s],
                       sum > 0 ? largest + std::log(sum) : HUGE_VAL, 1e-6, 0x1p-20);
    for (int64_t d = 0; d < VALUE_DIM; d++) {
      const double wanted = sum > 0 ? expected[static_cast<size_t>(d)] / sum : 0;
      right = right && close(get(outDtype, out.data() + (row * VALUE_DIM + d) * elementBytes(outDtype)),
                             wanted, 1e-6, relative);
    }
    if (!right)
      return fail("%s: %ld parts, dtypes %u and %u, row %ld", kernels.name, parts, dtype, outDtype, row);
  }
}

} // namespace

int main(int argc, char **argv) {
  Generator random(5);
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (uint32_t dtype = PMLA_BF16; dtype <= PMLA_F32; dtype++) {
      for (uint32_t outDtype = PMLA_BF16; outDtype <= PMLA_F32; outDtype++)
        check(*kernels, 3, dtype, outDtype, 16, random);
    }
    for (const int64_t parts : {0, 1, 40}) check(*kernels, parts, PMLA_F32, PMLA_F32, 0, random);
  }
  return finish();
}
