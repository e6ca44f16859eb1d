// gpu/ops/small-float.h against a search for the nearest code, and what it does in fp32 against the same in doubles.
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
  EXPECT(scaleExponent(0.0) == -126);
  EXPECT(scaleExponent(448.0) == 0);
  EXPECT(scaleExponent(std::nextafter(448.0, 1e300)) == 1);
  for (int i = 0; i < 100000; i++) {
    const double magnitude = std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52, static_cast<int>(random() % 400) - 200);
    const int exponent = scaleExponent(magnitude);
    EXPECT(exponent >= -126 && exponent <= 127);
    if (exponent < 127) EXPECT(magnitude / 448 <= powerOfTwo(exponent));
    if (exponent > -126) EXPECT(magnitude / 448 > powerOfTwo(exponent - 1));
  }
}

/** What a code of 16 bits stands for. */
float floatOfBf16(uint32_t code) { return floatOf(code << 16); }
float floatOfF16(uint32_t code) {
  const uint32_t magnitude = code & 0x7fff;
  const double value = magnitude > 0x7c00 ? NAN : magnitude == 0x7c00 ? INFINITY : valueOf(magnitude, 10, 15);
  return static_cast<float>(code > 0x7fff ? -value : value);
}

/** All numbers of 16 bits, and such of 32 as come with each: their neighbours, ties of e4m3, and any. */
std::vector<float> manyFloats() {
  std::mt19937 random(3);
  std::vector<float> values;
  for (uint32_t code = 0; code < 0x10000; code++) {
    values.push_back(floatOfBf16(code));
    values.push_back(floatOfF16(code));
    values.push_back(floatOf(random()));
    values.push_back(floatOf((code << 16) - 1));
    values.push_back(floatOf(code << 16 | 1));
  }
  return values;
}

/** Numbers that are scaled in fp32 get the codes that they get in doubles, whatever scale a group may have. */
void checkScaledE4m3(const std::vector<float>& values) {
  for (int exponent = -126; exponent <= scaleExponent(0x1.fffffep127); exponent++) {
    const float factor = floatOf(static_cast<uint32_t>(127 - exponent) << 23);
    for (const float value : values) {
      const uint8_t expected = encodeE4m3(value * powerOfTwo(-exponent));
      if (!EXPECT(encodeE4m3(value * factor) == expected)) std::fprintf(stderr, "  %a with 2^%d\n", value, exponent);
    }
  }
}

void checkScaleExponentOfFloats(const std::vector<float>& values) {
  const auto check = [](float magnitude) {
    if (!std::isfinite(magnitude)) return;
    magnitude = std::fabs(magnitude);
    if (!EXPECT(scaleExponent(magnitude) == scaleExponent(double{magnitude}))) std::fprintf(stderr, "  %a\n", magnitude);
  };
  for (const float value : values) check(value);
  for (int exponent = -149; exponent < 120; exponent++) {
    const auto edge = static_cast<float>(std::ldexp(448, exponent));
    for (const float value : {edge, std::nextafter(edge, 0.0f), std::nextafter(edge, INFINITY)}) check(value);
  }
  EXPECT(scaleExponent(1e-4f) == scaleExponent(1e-4));
}

/** Pairs of codes keep all that are not NaN. */
void checkOneNan() {
  for (uint32_t code = 0; code < 0x10000; code++) {
    const uint32_t other = 0xffff - code;
    const auto bf16 = [](uint32_t of) { return uint32_t{encodeBf16(double{floatOfBf16(of)})}; };
    const auto f16 = [](uint32_t of) { return uint32_t{encodeF16(double{floatOfF16(of)})}; };
    EXPECT((withOneNan<0x7f80, 0x7fc0>(code | other << 16)) == (bf16(code) | bf16(other) << 16));
    EXPECT((withOneNan<0x7c00, 0x7e00>(code | other << 16)) == (f16(code) | f16(other) << 16));
  }
}

/** Where both factors give one code, it is that of the quotient; they do so for all numbers or nearly all. */
void checkDivisor(double divisor, double least, const std::vector<float>& values) {
  const E4m3Divisor by(divisor);
  size_t alike = 0;
  for (const float value : values) {
    const uint8_t expected = encodeE4m3(value / divisor);
    EXPECT(encodeE4m3(by.quotient(value)) == expected);
    const uint8_t code = encodeE4m3(value * by.below);
    if (code != encodeE4m3(value * by.above)) continue;
    alike++;
    if (!EXPECT(code == expected)) std::fprintf(stderr, "  %a / %a: %x, not %x\n", value, divisor, code, expected);
  }
  if (!EXPECT(static_cast<double>(alike) >= least * static_cast<double>(values.size()))) std::fprintf(stderr, "  %a: %zu\n", divisor, alike);
}

void checkDivisors(const std::vector<float>& values) {
  for (int exponent = -126; exponent <= 126; exponent += 3) {
    EXPECT(E4m3Divisor(std::ldexp(1, exponent)).isExact());
    checkDivisor(std::ldexp(exponent % 2 == 0 ? 1 : -1, exponent), 1, values);
  }
  std::mt19937_64 random(4);
  for (int i = 0; i < 100; i++) {
    const double divisor = std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52, static_cast<int>(random() % 160) - 80);
    // The first are inverses of fp32 numbers, but for a rounding of doubles; the second have quotients halfway between codes.
    checkDivisor(1 / static_cast<double>(static_cast<float>(divisor)), 0.999, values);
    checkDivisor(static_cast<double>(random() % 256 * 2 + 3) / (1 + i % 7), 0.97, values);
    checkDivisor(-divisor, 0.999, values);
  }
  for (const double divisor : {5e-324, 1e-310, 1e-45, 1e-39, 1e39, 0x1p127, 0x1p-127, 0x1p130, -1e308}) checkDivisor(divisor, 0, values);
}

}  // namespace

int main() {
  checkFormat(formatOf(10, 15, 0x7c00, [](double x) { return uint32_t{encodeF16(x)}; }, 0x8000, 0x7c00, 0x7e00));
  checkFormat(formatOf(7, 127, 0x7f80, [](double x) { return uint32_t{encodeBf16(x)}; }, 0x8000, 0x7f80, 0x7fc0));
  checkFormat(formatOf(3, 7, 0x7f, [](double x) { return uint32_t{encodeE4m3(x)}; }, 0x80, 0x7e, 0x7f));
  checkScaleExponent();
  const std::vector<float> values = manyFloats();
  checkScaledE4m3(values);
  checkScaleExponentOfFloats(values);
  checkOneNan();
  checkDivisors(values);
  return test::finish();
}
