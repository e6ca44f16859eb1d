#include "cache.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace polymla::cpu::bench {
namespace {

/** Layout of a format's small floats. */
struct Layout {
  int fractionBits;
  int bias;
};

Layout layoutOf(uint32_t dtype) {
  switch (dtype) {
  case PMLA_BF16: return {7, 127};
  case PMLA_F16: return {10, 15};
  case PMLA_F32: return {23, 127};
  default: return {3, 7};
  }
}

/** Tokens differ within so many; a cache repeats them. */
constexpr size_t DIFFERENT_TOKENS = 4096;

void putToken(uint32_t format, std::byte *token, std::byte *scales, int headDim, Random &random) {
  const auto numbers = [&](uint32_t dtype, std::byte *target, int count, double size) {
    for (int i = 0; i < count; i++) putNumber(dtype, target + i * numberBytes(dtype), random.normal() * size);
  };
  switch (format) {
  case PMLA_KV_FP8_656:
    numbers(PMLA_E4M3, token, 512, 64);
    for (int group = 0; group < 4; group++) {
      const float scale = std::ldexp(1.0f, -6 - group % 2);
      std::memcpy(token + 512 + group * 4, &scale, sizeof scale);
    }
    numbers(PMLA_BF16, token + 528, 64, 1);
    break;
  case PMLA_KV_FP8_584:
    numbers(PMLA_E4M3, token, 448, 64);
    for (int group = 0; group < 8; group++) scales[group] = static_cast<std::byte>(121 - group % 2);
    numbers(PMLA_BF16, token + 448, 64, 1);
    break;
  default: numbers(format, token, headDim, 1);
  }
}

} // namespace

uint64_t Random::bits() {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

double Random::normal() {
  const uint64_t all = bits();
  double sum = 0;
  for (int i = 0; i < 4; i++) sum += static_cast<double>(all >> 16 * i & 0xffff) / 65536 - 0.5;
  return sum * std::sqrt(3.0);
}

size_t numberBytes(uint32_t dtype) { return dtype == PMLA_F32 ? 4 : dtype == PMLA_E4M3 ? 1 : 2; }

double numberAt(uint32_t dtype, const std::byte *code) {
  uint32_t bits = 0;
  std::memcpy(&bits, code, numberBytes(dtype));
  const Layout layout = layoutOf(dtype);
  const int signBit = static_cast<int>(numberBytes(dtype)) * 8 - 1;
  const uint32_t magnitude = bits & ((uint32_t{1} << signBit) - 1);
  const uint32_t exponent = magnitude >> layout.fractionBits;
  const uint32_t one = uint32_t{1} << layout.fractionBits;
  const uint32_t fraction = (magnitude & (one - 1)) | (exponent > 0 ? one : 0);
  const double value =
      std::ldexp(fraction, static_cast<int>(std::max(exponent, 1u)) - layout.bias - layout.fractionBits);
  return bits >> signBit ? -value : value;
}

void putNumber(uint32_t dtype, std::byte *code, double number) {
  const Layout layout = layoutOf(dtype);
  int exponent;
  std::frexp(number, &exponent);
  exponent = std::max(exponent - 1, 1 - layout.bias); // |number| = 1.… · 2^exponent, or subnormal
  const auto fraction =
      static_cast<uint32_t>(std::nearbyint(std::ldexp(std::fabs(number), layout.fractionBits - exponent)));
  // The leading 1 of the fraction adds one to the exponent.
  uint32_t bits = (static_cast<uint32_t>(exponent + layout.bias - 1) << layout.fractionBits) + fraction;
  if (number < 0) bits |= uint32_t{1} << (numberBytes(dtype) * 8 - 1);
  std::memcpy(code, &bits, numberBytes(dtype));
}

size_t Cache::tokenBytes() const {
  switch (format_) {
  case PMLA_KV_FP8_656: return 656;
  case PMLA_KV_FP8_584: return 584;
  default: return numberBytes(format_) * static_cast<size_t>(headDim());
  }
}

size_t Cache::pageBytes() const { return tokenBytes() * PAGE_SIZE; }

Cache::Cache(uint32_t format, size_t bytes) : format_(format) {
  const size_t group = DIFFERENT_TOKENS / PAGE_SIZE * pageBytes();
  const size_t groups = std::max<size_t>(bytes / group, 1);
  constexpr size_t hugePage = size_t{2} << 20;
  memory.reset(static_cast<std::byte *>(
      std::aligned_alloc(hugePage, (groups * group + hugePage - 1) / hugePage * hugePage)));
  if (!memory) throw std::runtime_error("not enough memory for a cache larger than the processor's");
#if defined(__linux__)
  madvise(memory.get(), groups * group, MADV_HUGEPAGE); // as the backend does
#endif
  order.resize(groups * DIFFERENT_TOKENS / PAGE_SIZE);
  std::iota(order.begin(), order.end(), 0u);
  Random random(format);
  for (size_t page = 0; page < DIFFERENT_TOKENS / PAGE_SIZE; page++) {
    for (int i = 0; i < PAGE_SIZE; i++) {
      putToken(format, const_cast<std::byte *>(token(page, i)), const_cast<std::byte *>(scales(page, i)),
               headDim(), random);
    }
  }
  for (size_t copy = 1; copy < groups; copy++) std::memcpy(memory.get() + copy * group, memory.get(), group);
  for (size_t i = order.size() - 1; i > 0; i--) std::swap(order[i], order[random.bits() % (i + 1)]);
}

const std::byte *Cache::token(size_t page, int offset) const {
  const size_t bytes = format_ == PMLA_KV_FP8_584 ? 576 : tokenBytes();
  return memory.get() + order[page] * pageBytes() + static_cast<size_t>(offset) * bytes;
}

const std::byte *Cache::scales(size_t page, int offset) const {
  if (format_ != PMLA_KV_FP8_584) return nullptr;
  return memory.get() + order[page] * pageBytes() + static_cast<size_t>(PAGE_SIZE * 576 + offset * 8);
}

void Cache::values(size_t page, int offset, double *target) const {
  const std::byte *from = token(page, offset);
  switch (format_) {
  case PMLA_KV_FP8_656:
    for (int i = 0; i < 512; i++) {
      target[i] = numberAt(PMLA_E4M3, from + i) * numberAt(PMLA_F32, from + 512 + i / 128 * 4);
    }
    for (int i = 0; i < 64; i++) target[512 + i] = numberAt(PMLA_BF16, from + 528 + i * 2);
    break;
  case PMLA_KV_FP8_584:
    for (int i = 0; i < 448; i++) {
      const int exponent = static_cast<int>(scales(page, offset)[i / 64]) - 127;
      target[i] = std::ldexp(numberAt(PMLA_E4M3, from + i), exponent);
    }
    for (int i = 0; i < 64; i++) target[448 + i] = numberAt(PMLA_BF16, from + 448 + i * 2);
    break;
  default:
    for (int i = 0; i < headDim(); i++)
      target[i] = numberAt(format_, from + static_cast<size_t>(i) * numberBytes(format_));
  }
}

} // namespace polymla::cpu::bench
