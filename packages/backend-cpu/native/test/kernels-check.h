#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "../kernels/kernels.h"

namespace polymla::cpu::test {

using Bytes = std::vector<std::byte>;

inline int failures = 0;

/** Counts a failure and prints the first ones. */
__attribute__((format(printf, 1, 2))) inline void fail(const char *format, ...) {
  if (++failures > 20) return;
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
}

/** The instruction sets this processor runs; of a name only, if the command line gives one. */
inline std::vector<const Kernels *> kernelsUnderTest(int argc, char **argv) {
  int count;
  const Kernels *const *all = allKernels(&count);
  std::vector<const Kernels *> tested;
  for (int i = 0; i < count; i++) {
    const bool wanted = argc < 2 || std::strcmp(argv[1], all[i]->name) == 0;
    const bool usable = all[i]->usable();
    std::printf("%s: %s\n", all[i]->name, !usable ? "not usable here" : wanted ? "tested" : "left out");
    if (wanted && usable) tested.push_back(all[i]);
  }
  if (tested.empty()) fail("no instruction set to test");
  return tested;
}

inline int finish() {
  std::printf(failures > 0 ? "%d failures\n" : "all passed\n", failures);
  return failures > 0;
}

/** What its codes stand for, by the definition of the format: an independent copy of what kernels do. */
inline double valueOf(uint32_t dtype, uint32_t code) {
  const int bits = dtype == PMLA_E4M3 ? 8 : 16;
  const int fractionBits = dtype == PMLA_BF16 ? 7 : dtype == PMLA_F16 ? 10 : 3;
  const int exponentBits = bits - 1 - fractionBits;
  const uint32_t exponent = code >> fractionBits & ((1u << exponentBits) - 1);
  const uint32_t fraction = code & ((1u << fractionBits) - 1);
  const uint32_t top = (1u << exponentBits) - 1;
  double value;
  if (dtype == PMLA_E4M3 ? exponent == top && fraction == 7 : exponent == top && fraction != 0) {
    value = __builtin_nan("");
  } else if (dtype != PMLA_E4M3 && exponent == top) {
    value = __builtin_inf();
  } else {
    const int bias = (1 << (exponentBits - 1)) - 1;
    const uint32_t one = exponent > 0 ? 1u << fractionBits : 0;
    const int power = (exponent > 0 ? static_cast<int>(exponent) : 1) - bias - fractionBits;
    value = __builtin_ldexp(fraction + one, power);
  }
  return code >> (bits - 1) ? -value : value;
}

} // namespace polymla::cpu::test
