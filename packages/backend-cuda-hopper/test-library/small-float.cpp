// src/ops/small-float.h against a search for the nearest code.
#include "gpu/ops/small-float.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"

using namespace polymla;

namespace {

/** What the positive codes of a format stand for, in order, then what stands beyond the last one: its midpoint overflows. */
struct Format {
  std::vector<double> values;
  uint32_t (*encode)(double);
  uint32_t sign;
  uint32_t overflow;
  uint32_t nan;
};

double valueOf(uint32_t code, int fractionBits, int bias) {
  const int exponent = static_cast<int>(code >> fractionBits);
  const double fraction = code & ((1u << fractionBits) - 1);
  const double one = 1u << fractionBits;
  return exponent == 0 ? std::ldexp(fraction / one, 1 - bias) : std::ldexp(1 + fraction / one, exponent - bias);
}

Format formatOf(int fractionBits, int bias, uint32_t codes, uint32_t (*encode)(double), uint32_t sign, uint32_t overflow, uint32_t nan) {
  Format format{{}, encode, sign, overflow, nan};
  for (uint32_t code = 0; code <= codes; code++) format.values.push_back(valueOf(code, fractionBits, bias));
  return format;
}

/** The nearest code, that of an even one of two. */
uint32_t nearest(const Format& format, double magnitude) {
  const auto& values = format.values;
  const auto last = static_cast<uint32_t>(values.size() - 1);
  const auto above = static_cast<uint32_t>(std::lower_bound(values.begin(), values.end(), magnitude) - values.begin());
  if (above > last) return format.overflow;
  if (above == 0 || values[above] == magnitude) return above == last ? format.overflow : above;
  const double low = magnitude - values[above - 1];
  const double high = values[above] - magnitude;
  const uint32_t found = low < high || (low == high && above % 2 == 1) ? above - 1 : above;
  return found == last ? format.overflow : found;
}

void check(const Format& format, double value) {
  const uint32_t expected = nearest(format, std::fabs(value)) | (std::signbit(value) ? format.sign : 0);
  if (!EXPECT(format.encode(value) == expected)) std::fprintf(stderr, "  %a: %x, not %x\n", value, format.encode(value), expected);
}

void checkFormat(const Format& format) {
  std::mt19937_64 random(1);
  for (size_t i = 0; i + 1 < format.values.size(); i++) {
    const double low = format.values[i];
    const double middle = (low + format.values[i + 1]) / 2;
    for (const double value : {low, middle, std::nextafter(middle, 0.0), std::nextafter(middle, 1e300), std::nextafter(low, 1e300)}) {
      check(format, value);
      check(format, -value);
    }
  }
  for (int i = 0; i < 200000; i++) {
    const int exponent = static_cast<int>(random() % 320) - 160;
    check(format, std::ldexp(static_cast<double>(static_cast<int64_t>(random())), exponent - 63));
  }
  for (const double value : {1e300, -1e300, double{INFINITY}, -double{INFINITY}, 5e-324}) check(format, value);
  EXPECT(format.encode(NAN) == format.nan);
}

/** The smallest exponent of a scale that keeps a number within ±448. */
void checkScaleExponent() {
  std::mt19937_64 random(2);
  EXPECT(scaleExponent(0) == -126);
  EXPECT(scaleExponent(448) == 0);
  EXPECT(scaleExponent(std::nextafter(448.0, 1e300)) == 1);
  for (int i = 0; i < 100000; i++) {
    const double magnitude = std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52, static_cast<int>(random() % 400) - 200);
    const int exponent = scaleExponent(magnitude);
    EXPECT(exponent >= -126 && exponent <= 127);
    if (exponent < 127) EXPECT(magnitude / 448 <= powerOfTwo(exponent));
    if (exponent > -126) EXPECT(magnitude / 448 > powerOfTwo(exponent - 1));
  }
}

}  // namespace

int main() {
  checkFormat(formatOf(10, 15, 0x7c00, [](double x) { return uint32_t{encodeF16(x)}; }, 0x8000, 0x7c00, 0x7e00));
  checkFormat(formatOf(7, 127, 0x7f80, [](double x) { return uint32_t{encodeBf16(x)}; }, 0x8000, 0x7f80, 0x7fc0));
  checkFormat(formatOf(3, 7, 0x7f, [](double x) { return uint32_t{encodeE4m3(x)}; }, 0x80, 0x7e, 0x7f));
  checkScaleExponent();
  return test::finish();
}
