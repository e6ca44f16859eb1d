// Conversions of every instruction set, on all codes and around all places where rounding changes its mind.

#include <cmath>
#include <limits>

#include "kernels-check.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

bool same(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b); }

void checkDecode(const Kernels &kernels, uint32_t dtype) {
  std::vector<uint16_t> codes(65536);
  for (uint32_t i = 0; i < codes.size(); i++) codes[i] = static_cast<uint16_t>(i);
  std::vector<float> values(codes.size());
  kernels.decode(dtype, codes.data(), values.data(), static_cast<int64_t>(codes.size()));
  for (uint32_t i = 0; i < codes.size(); i++) {
    if (!same(values[i], valueOf(dtype, i))) fail("%s decodes %04x of dtype %u as %g", kernels.name, i, dtype, values[i]);
  }
}

/** Nearest positive finite-or-infinite code by comparing neighbours; the code after the last finite one is infinity. */
uint32_t nearest(uint32_t dtype, double value) {
  const uint32_t infinity = dtype == PMLA_BF16 ? 0x7f80 : 0x7c00;
  uint32_t low = 0, high = infinity; // valueOf(low) ≤ value
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (valueOf(dtype, middle) <= value ? low : high) = middle;
  }
  // Rounding treats infinity as the number that would come next.
  const double below = valueOf(dtype, low);
  const double above = high < infinity ? valueOf(dtype, high) : 2 * below - valueOf(dtype, low - 1);
  if (value >= above) return high;
  const double middle = below + (above - below) / 2;
  return value < middle || (value == middle && low % 2 == 0) ? low : high;
}

void checkEncode(const Kernels &kernels, uint32_t dtype) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = {0, infinity, std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min(),
                               std::numeric_limits<float>::min(), 65504, 65519.996f, 65520, 1e-8f, 2e-8f, 3e-8f, 6e-8f};
  const uint32_t end = dtype == PMLA_BF16 ? 0x7f7f : 0x7bff;
  for (uint32_t code = 0; code < end; code += code % 512 == 4 ? 500 : 1) {
    const auto low = static_cast<float>(valueOf(dtype, code));
    const auto middle = static_cast<float>((valueOf(dtype, code) + valueOf(dtype, code + 1)) / 2);
    for (const float value : {low, middle}) {
      values.insert(values.end(), {value, std::nextafterf(value, infinity)});
      if (value > 0) values.push_back(std::nextafterf(value, 0));
    }
  }
  for (size_t i = values.size(); i-- > 0;) values.push_back(-values[i]);
  const size_t numbers = values.size();
  values.push_back(std::numeric_limits<float>::quiet_NaN());
  // Whole vectors of NaN, and NaN among the rest.
  values.resize(values.size() + 37, -std::numeric_limits<float>::quiet_NaN());
  std::vector<uint16_t> codes(values.size());
  kernels.encode(dtype, values.data(), codes.data(), static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); i++) {
    if (i >= numbers) {
      if (!std::isnan(valueOf(dtype, codes[i]))) fail("%s encodes NaN as %04x", kernels.name, codes[i]);
      continue;
    }
    const uint32_t wanted = nearest(dtype, std::fabs(values[i])) | (std::signbit(values[i]) ? 0x8000 : 0);
    if (codes[i] == wanted) continue;
    fail("%s encodes %.9g as %04x of dtype %u, not %04x", kernels.name, values[i], codes[i], dtype, wanted);
  }
}

/** Every count up to a few vectors, from places that are aligned to the numbers only; nothing else is touched. */
void checkCounts(const Kernels &kernels) {
  for (const uint32_t dtype : {PMLA_BF16, PMLA_F16, PMLA_F32}) {
    const size_t size = dtype == PMLA_F32 ? 4 : 2;
    for (int count = 0; count <= 67; count++) {
      std::vector<float> values(80, -1), back(80, -7), sums(80, 1);
      for (int i = 0; i < count; i++) values[i + 1] = static_cast<float>(i);
      Bytes codes(80 * size, std::byte{0x5a});
      kernels.encode(dtype, values.data() + 1, codes.data() + size, count);
      kernels.decode(dtype, codes.data() + size, back.data() + 1, count);
      kernels.accumulate(2, values.data() + 1, sums.data() + 1, count);
      for (int i = -1; i < 78; i++) {
        const bool inside = i >= 0 && i < count;
        const auto at = static_cast<size_t>(i + 1);
        const bool right = back[at] == (inside ? i : -7) && sums[at] == (inside ? 1 + 2 * i : 1) &&
                           (inside || codes[at * size] == std::byte{0x5a});
        if (!right) fail("%s: number %d of %d, dtype %u", kernels.name, i, count, dtype);
      }
    }
  }
}

void checkReadAll(const Kernels &kernels) {
  Bytes memory(100'003);
  for (size_t i = 0; i < memory.size(); i++) memory[i] = static_cast<std::byte>(i * 7);
  const uint64_t before = kernels.readAll(memory.data(), memory.size());
  for (const size_t i : {size_t{0}, size_t{25'000}, size_t{50'008}, size_t{99'999}, memory.size() - 1}) {
    memory[i] ^= std::byte{1};
    if (kernels.readAll(memory.data(), memory.size()) == before) fail("%s does not read byte %zu", kernels.name, i);
    memory[i] ^= std::byte{1};
  }
}

} // namespace

int main(int argc, char **argv) {
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (const uint32_t dtype : {PMLA_BF16, PMLA_F16}) {
      checkDecode(*kernels, dtype);
      checkEncode(*kernels, dtype);
    }
    checkCounts(*kernels);
    checkReadAll(*kernels);
  }
  return finish();
}
