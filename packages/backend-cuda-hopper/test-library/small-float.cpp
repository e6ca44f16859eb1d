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

/** Midpoints of e4m3 and beyond, times the divisor, and their neighbours: ties, and what is as close to one as fp32 has it. */
std::vector<float> almostTies(double divisor) {
  std::vector<float> values;
  for (int middle = 1; middle < 32; middle += 2) {
    for (int exponent = -12; exponent < 6; exponent++) {
      const auto value = static_cast<float>(std::ldexp(middle, exponent) * divisor);
      if (!std::isfinite(value)) continue;
      for (const float near : {value, std::nextafter(value, 0.0f), std::nextafter(value, INFINITY), std::nextafter(value, -INFINITY)}) {
        values.push_back(near);
        values.push_back(-near);
      }
    }
  }
  return values;
}

void checkQuotients(const E4m3Divisor& by, const std::vector<float>& values) {
  for (const float value : values) {
    const uint8_t expected = encodeE4m3(value / by.divisor);
    const uint8_t fromDoubles = encodeE4m3(by.quotient(value));
    if (!EXPECT(fromDoubles == expected)) std::fprintf(stderr, "  %a / %a in doubles: %x, not %x\n", value, by.divisor, fromDoubles, expected);
    if (by.inverse == 0) continue;
    const float rounded = by.isPower ? value * by.inverse : by.sides == 0 ? by.rounded<false>(value) : by.rounded<true>(value);
    if (!EXPECT(encodeE4m3(rounded) == expected)) {
      std::fprintf(stderr, "  %a / %a: %x, not %x\n", value, by.divisor, encodeE4m3(rounded), expected);
    }
  }
}

/** Counts divisors by how they are divided by. */
struct Kinds {
  int powers = 0, plain = 0, sided = 0, mixed = 0, doubles = 0;
};

void checkDivisor(double divisor, const std::vector<float>& values, Kinds& kinds) {
  const E4m3Divisor by(divisor);
  checkQuotients(by, values);
  checkQuotients(by, almostTies(divisor));
  // Rotated numbers, which have more digits than fp32.
  for (int middle = 1; middle < 32; middle += 2) {
    const double tie = middle * divisor;
    for (const double value : {tie, std::nextafter(tie, 0.0), std::nextafter(tie, 1e308), tie * (1 + 0x1p-50), tie * (1 - 0x1p-48)}) {
      EXPECT(encodeE4m3(by.quotient(value)) == encodeE4m3(value / divisor));
    }
  }
  // Ties of some midpoints and none of others, all close to a quotient of a number.
  bool hasTie = false;
  for (int middle = 1; middle < 32; middle += 2) hasTie |= static_cast<double>(static_cast<float>(middle * divisor)) / divisor == middle;
  (by.isPower ? kinds.powers : by.inverse == 0 ? kinds.doubles : by.sides == 0 ? kinds.plain : hasTie ? kinds.mixed : kinds.sided)++;
}

void checkDivisors(const std::vector<float>& values) {
  // All numbers of 16 bits and their neighbours with some divisors, a few with many.
  std::vector<float> few;
  for (size_t i = 0; i < values.size(); i += 397) few.push_back(values[i]);
  for (const float value : {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1.fffffep127f, -0x1.fffffep127f, 0x1p-149f}) few.push_back(value);
  Kinds kinds;
  for (int exponent = -126; exponent <= 126; exponent += 3) checkDivisor(std::ldexp(exponent % 2 == 0 ? 1 : -1, exponent), values, kinds);
  EXPECT(kinds.powers == 85);
  for (const double divisor : {0.37, 3.0, 4.4, 7.25 / 448, -0.7, 0x1.4p0 + 0x1p-52, 0x1.fffffffffffffp0}) checkDivisor(divisor, values, kinds);
  std::mt19937_64 random(4);
  for (int i = 0; i < 3000; i++) {
    const double divisor = std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52, static_cast<int>(random() % 180) - 90);
    checkDivisor(divisor, few, kinds);
    checkDivisor(-static_cast<double>(static_cast<float>(divisor)), few, kinds);
    // A midpoint's number, with the quotient a tie or beside one, as doubles round it; then all distances that count as close or do not.
    const double tie = static_cast<double>(static_cast<float>(divisor)) / static_cast<double>(random() % 16 * 2 + 1);
    for (const double near : {tie, std::nextafter(tie, 0.0), std::nextafter(tie, 1e300), tie * (1 + std::ldexp(1, -30 - i % 22))}) {
      checkDivisor(near, few, kinds);
    }
    // What scales are: decimals, and the largest of a tensor by that of e4m3.
    checkDivisor(static_cast<double>(random() % 1000 + 1) / 1000, few, kinds);
    checkDivisor(static_cast<double>(random() % 256 + 1) / 64 / 448, few, kinds);
  }
  EXPECT(kinds.plain > 1000 && kinds.sided > 100 && kinds.mixed > 100 && kinds.doubles == 0);
  for (const double divisor : {5e-324, 1e-310, 1e-45, 1e-39, 1e39, 0x1.8p100, 0x1.8p99, 0x1.8p-100, 0x1.8p-99, 0x1p127, 0x1p-127, 0x1p130, -1e308, 0.0}) {
    checkDivisor(divisor, values, kinds);
  }
  EXPECT(kinds.doubles >= 8);
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
