#include "token-writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../kernels/convert.h"
#include "kit/round-to-odd.h"

namespace polymla::cpu {
namespace {

constexpr double E4M3_LARGEST = 448;
/** Exponents that normal fp32 numbers and e8m0 have in common. */
constexpr int SMALLEST_EXPONENT = -126;
constexpr int LARGEST_EXPONENT = 127;
constexpr int E8M0_BIAS = 127;

void writeE4m3(const double *key, int64_t count, double scale, std::byte *to) {
  for (int64_t i = 0; i < count; i++) to[i] = static_cast<std::byte>(encodeE4m3(roundToOdd(key[i] / scale)));
}

void writeBf16(const double *key, int64_t count, std::byte *to) {
  for (int64_t i = 0; i < count; i++) {
    const uint16_t code = encodeBf16(roundToOdd(key[i]));
    std::memcpy(to + 2 * i, &code, sizeof code);
  }
}

void writeF16(const double *key, int64_t count, std::byte *to) {
  for (int64_t i = 0; i < count; i++) {
    const uint16_t code = encodeF16(roundToOdd(key[i]));
    std::memcpy(to + 2 * i, &code, sizeof code);
  }
}

void writeF32(const double *key, int64_t count, std::byte *to) {
  for (int64_t i = 0; i < count; i++) {
    const auto value = static_cast<float>(key[i]);
    std::memcpy(to + 4 * i, &value, sizeof value);
  }
}

/** Largest finite magnitude; 0 when there is none. */
double largestMagnitude(const double *key, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; i++) {
    const double magnitude = std::fabs(key[i]);
    if (magnitude > largest && magnitude < std::numeric_limits<double>::infinity()) largest = magnitude;
  }
  return largest;
}

/** Exponent of the smallest power of two that brings numbers up to `magnitude` into e4m3's range. */
int scaleExponent(double magnitude) {
  int exponent;
  const double fraction = std::frexp(magnitude / E4M3_LARGEST, &exponent);
  if (fraction == 0) return SMALLEST_EXPONENT;
  // fraction lies in [½, 1): a power of two has ½.
  return std::clamp(fraction == 0.5 ? exponent - 1 : exponent, SMALLEST_EXPONENT, LARGEST_EXPONENT);
}

/**
 * 512 e4m3, 4 fp32 scales (one per 128), 64 bf16 of rope. A scale is the largest magnitude / 448, rounded up (FlashMLA
 * 9241ae3, the quantiser of its tests).
 */
void write656(const double *key, std::byte *to) {
  constexpr int64_t LATENT = 512, GROUP = 128, SCALES = LATENT / GROUP, ROPE = 64;
  for (int64_t group = 0; group < SCALES; group++) {
    const double *numbers = key + group * GROUP;
    const double scale = std::ldexp(1.0, scaleExponent(largestMagnitude(numbers, GROUP)));
    writeF32(&scale, 1, to + LATENT + 4 * group);
    writeE4m3(numbers, GROUP, scale, to + group * GROUP);
  }
  writeBf16(key + LATENT, ROPE, to + LATENT + 4 * SCALES);
}

/**
 * 448 e4m3, 64 bf16 of rope; apart from them 7 e8m0 scales (one per 64) and a byte that means nothing, here 0. A scale is
 * max(largest magnitude, 1e-4) / 448, rounded up (DeepSeek-V3.2-Exp, `act_quant`).
 */
void write584(const double *key, std::byte *to, std::byte *scales) {
  constexpr int64_t LATENT = 448, GROUP = 64, SCALES = LATENT / GROUP, ROPE = 64;
  for (int64_t group = 0; group < SCALES; group++) {
    const double *numbers = key + group * GROUP;
    const int exponent = scaleExponent(std::max(largestMagnitude(numbers, GROUP), 1e-4));
    scales[group] = static_cast<std::byte>(exponent + E8M0_BIAS);
    writeE4m3(numbers, GROUP, std::ldexp(1.0, exponent), to + group * GROUP);
  }
  scales[SCALES] = std::byte{0};
  writeBf16(key + LATENT, ROPE, to + LATENT);
}

} // namespace

void TokenWriter::write(int64_t index, int64_t kvHead, const double *key) const {
  const int64_t headDim = cache_.shape().head_dim;
  const int64_t page = index / cache_.shape().page_size;
  const int64_t offset = index % cache_.shape().page_size;
  std::byte *to = memory_ + cache_.tokenAt(page, offset, kvHead);
  switch (cache_.shape().format) {
  case PMLA_KV_BF16: return writeBf16(key, headDim, to);
  case PMLA_KV_F16: return writeF16(key, headDim, to);
  case PMLA_KV_F32: return writeF32(key, headDim, to);
  case PMLA_KV_E4M3: return writeE4m3(key, headDim, descale_, to);
  case PMLA_KV_FP8_656: return write656(key, to);
  case PMLA_KV_FP8_584: return write584(key, to, memory_ + cache_.scalesAt(page, offset));
  }
}

} // namespace polymla::cpu
