#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace polymla::test {

/** An element passes by either error, the whole by the cosine difference as well. */
struct Tolerance {
  double absolute;
  double relative;
  double cosine;
};

/** FlashMLA's tolerances for dense bf16 and fp16 (9241ae3). */
constexpr Tolerance outTolerance{8e-4, 2.01 / 128, 5e-6};
constexpr Tolerance lseTolerance{1e-6, 8.01 / 65536, 1};

/** Empty when `found` is within tolerance of `expected`, else what is wrong. ±∞ and NaN must stand in the same places. */
std::string compare(const std::vector<float>& found, const std::vector<double>& expected, const Tolerance& tolerance);

}  // namespace polymla::test
