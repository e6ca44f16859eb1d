// Decoding of cache tokens by every instruction set: all formats, all codes, exact but for bf16 tiles.

#include <cmath>

#include "kernels-check.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

struct Tokens {
  uint32_t format;
  int headDim;
  size_t bytes; // per token
};

constexpr Tokens FORMATS[] = {
    {PMLA_KV_BF16, 48, 96}, {PMLA_KV_F16, 80, 160},     {PMLA_KV_F32, 16, 64},
    {PMLA_KV_E4M3, 64, 64}, {PMLA_KV_FP8_656, 576, 656}, {PMLA_KV_FP8_584, 512, 576},
};

template <class T> T read(const std::byte *from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

double bf16At(const std::byte *from) { return valueOf(PMLA_BF16, read<uint16_t>(from)); }
double e4m3At(const std::byte *from) { return valueOf(PMLA_E4M3, read<uint8_t>(from)); }

/** Number `d` of a token, by the definition of the format. */
double numberOf(uint32_t format, const std::byte *token, const std::byte *scales, int d) {
  switch (format) {
  case PMLA_KV_BF16: return bf16At(token + 2 * d);
  case PMLA_KV_F16: return valueOf(PMLA_F16, read<uint16_t>(token + 2 * d));
  case PMLA_KV_F32: return read<float>(token + 4 * d);
  case PMLA_KV_E4M3: return e4m3At(token + d);
  case PMLA_KV_FP8_656:
    if (d >= 512) return bf16At(token + 528 + 2 * (d - 512));
    return e4m3At(token + d) * read<float>(token + 512 + d / 128 * 4);
  default: {
    if (d >= 448) return bf16At(token + 448 + 2 * (d - 448));
    const int code = read<uint8_t>(scales + d / 64);
    return e4m3At(token + d) * (code == 255 ? std::nan("") : std::ldexp(1.0, code - 127));
  }
  }
}

double numberIn(const std::byte *tile, Compute compute, size_t i) {
  if (compute == Compute::F32) return read<float>(tile + 4 * i);
  return valueOf(compute == Compute::Bf16 ? PMLA_BF16 : PMLA_F16, read<uint16_t>(tile + 2 * i));
}

/** Round `round` of tokens whose bytes count through all codes; scales of 656 need not be powers of two. */
void check(const Kernels &kernels, const Tokens &of, Compute compute, int count, int round) {
  std::vector<Bytes> tokens, scales;
  std::vector<const std::byte *> tokenPlaces, scalePlaces;
  for (int token = 0; token < count; token++) {
    // One byte into its memory, where the format needs no alignment.
    const size_t shift = of.format >= PMLA_KV_E4M3 ? 1 : 0;
    Bytes &bytes = tokens.emplace_back(of.bytes + shift);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<std::byte>(i * 5 + token * 64 + round * 37);
    for (int group = 0; group < 4 && of.format == PMLA_KV_FP8_656; group++) {
      const float scale = round % 2 ? std::ldexp(1.0f, group * 7 - 20) : 0.3f + 0.1f * static_cast<float>(group + token);
      std::memcpy(bytes.data() + shift + 512 + 4 * group, &scale, sizeof scale);
    }
    Bytes &scale = scales.emplace_back(8);
    for (int i = 0; i < 8; i++) scale[i] = static_cast<std::byte>(round * 8 + i + token);
    tokenPlaces.push_back(bytes.data() + shift);
    scalePlaces.push_back(scale.data());
  }
  const size_t numbers = static_cast<size_t>(count) * of.headDim;
  Bytes tile(numbers * (compute == Compute::F32 ? 4 : 2));
  kernels.gather({of.format, of.headDim, count, tokenPlaces.data(), scalePlaces.data()}, compute, tile.data());
  for (size_t i = 0; i < numbers; i++) {
    const size_t token = i / of.headDim;
    const int d = static_cast<int>(i % of.headDim);
    const double wanted = numberOf(of.format, tokenPlaces[token], scalePlaces[token], d);
    const double got = numberIn(tile.data(), compute, i);
    if (std::isnan(wanted) ? std::isnan(got) : got == static_cast<float>(wanted)) continue;
    // Products of scales are rounded once in f32, and to the type of the tile.
    if (compute == Compute::Bf16 && std::fabs(got - wanted) <= std::fabs(wanted) / 256) continue;
    // Units that round to bf16 make subnormal numbers zero.
    if (compute == Compute::Bf16 && std::fabs(wanted) < 0x1p-126 && got == 0) continue;
    return fail("%s: format %u, compute %d, token %zu, number %d is %.9g, not %.9g", kernels.name, of.format,
                static_cast<int>(compute), token, d, got, wanted);
  }
}

} // namespace

int main(int argc, char **argv) {
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (const Tokens &of : FORMATS) {
      bool done[3] = {};
      for (const uint32_t dtype : {PMLA_BF16, PMLA_F16, PMLA_F32, PMLA_E4M3}) {
        const Compute compute = kernels->compute(dtype, of.format);
        // Sparse decode makes f32 of two caches that differ.
        for (const Compute wanted : {compute, Compute::F32}) {
          if (done[static_cast<int>(wanted)]) continue;
          done[static_cast<int>(wanted)] = true;
          for (const int count : {1, 3, 64}) {
            for (int round = 0; round < 32; round++) check(*kernels, of, wanted, count, round);
          }
        }
      }
    }
  }
  return finish();
}
