// Attention to tokens with scales, read from the cache in place, against the same tokens decoded to f32.

#include <cmath>

#include "../kernels/convert.h"
#include "kernels-check.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

struct Result {
  std::vector<float> out, lse;
};

std::vector<float> numbers(std::mt19937 &random, size_t count, float spread) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float &value : values) value = normal(random);
  return values;
}

/** @param dtype of the queries: F32, or BF16, whose weights may be rounded to it */
void check(const Kernels &kernels, uint32_t dtype, uint32_t format, int rows, int count) {
  const Compute compute = kernels.computeInPlace(dtype, format, rows);
  if (compute == kernels.compute(dtype, format)) return;
  const bool apart = format == PMLA_KV_FP8_584;
  const int headDim = apart ? 512 : 576, valueDim = 512, codes = apart ? 448 : 512;
  const size_t stride = apart ? 576 : 656;
  std::mt19937 random(static_cast<unsigned>(rows * 100 + count));
  std::vector<float> q = numbers(random, static_cast<size_t>(rows) * headDim, 0.1f);
  std::vector<uint16_t> q16;
  for (float &number : q) {
    q16.push_back(encodeBf16(number));
    if (dtype == PMLA_BF16) number = decodeBf16(q16.back());
  }
  const std::vector<float> rope = numbers(random, static_cast<size_t>(count) * 64, 1);
  std::vector<const void *> queryRows, sameInF32;
  for (int row = 0; row < rows; row++) {
    sameInF32.push_back(q.data() + row * headDim);
    queryRows.push_back(dtype == PMLA_BF16 ? static_cast<const void *>(q16.data() + row * headDim) : sameInF32.back());
  }

  // Memory to the byte, for the address sanitizer: all codes but NaN, with scales of all sorts, then a code that is NaN.
  for (const bool withNaN : {false, true}) {
    constexpr float strange[] = {0, 0x1.8p-50f, -0.004f, 0x1p-8f};
    Bytes tokens(stride * count), scales(apart ? 8 * count : 0);
    std::vector<const std::byte *> places, scalePlaces;
    for (int key = 0; key < count; key++) {
      std::byte *token = tokens.data() + stride * key;
      for (int d = 0; d < codes; d++) token[d] = static_cast<std::byte>(random() % 127 | (random() % 2) << 7);
      for (int group = 0; group < 4 && !apart; group++) {
        const float scale = random() % 8 == 0 ? strange[random() % 4] : 0.003f + 0.001f * static_cast<float>(random() % 5);
        std::memcpy(token + 512 + 4 * group, &scale, sizeof scale);
      }
      for (int group = 0; group < 8 && apart; group++) {
        scales[8 * key + group] = static_cast<std::byte>(random() % 8 == 0 ? random() % 100 : 117 + random() % 5);
      }
      for (int i = 0; i < 64; i++) {
        const uint16_t code = encodeBf16(rope[64 * key + i]);
        std::memcpy(token + (apart ? 448 : 528) + 2 * i, &code, 2);
      }
      places.push_back(token);
      scalePlaces.push_back(apart ? scales.data() + 8 * key : nullptr);
    }
    if (withNaN) tokens[stride * (count - 1) + 70] = std::byte{0xff};
    std::vector<float> decoded(static_cast<size_t>(count) * headDim);
    kernels.gather({format, headDim, count, places.data(), scalePlaces.data()}, Compute::F32,
                   reinterpret_cast<std::byte *>(decoded.data()));

    const auto run = [&](Compute type, const KeyTile &tile, uint32_t queryType, const std::vector<const void *> &queries) {
      Bytes memory(kernels.stateBytes(rows, headDim, valueDim, type) + 64);
      std::byte *state = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
      kernels.begin(state, {queries.data(), queryType, rows, headDim, valueDim, 0.04f}, type);
      kernels.attend(state, &tile, 1, nullptr);
      Result result = {std::vector<float>(static_cast<size_t>(valueDim * rows)), std::vector<float>(rows)};
      kernels.finish(state, result.out.data(), valueDim, result.lse.data(), nullptr);
      return result;
    };
    const Result got = run(compute, {tokens.data(), static_cast<int64_t>(stride), count, nullptr, scales.data()}, dtype, queryRows);
    const auto packed = static_cast<int64_t>(sizeof(float)) * headDim;
    const Result wanted = run(Compute::F32, {reinterpret_cast<const std::byte *>(decoded.data()), packed, count, nullptr}, PMLA_F32, sameInF32);
    const auto same = [](float a, float b, float tolerance) {
      return std::isnan(b) ? std::isnan(a) : std::fabs(a - b) <= tolerance * std::fmax(1.0f, std::fabs(b));
    };
    // One key's weight is divided by itself. Of several, each is off by 2^-9 at most, as is their sum; values reach 3.5.
    const float tolerance = dtype == PMLA_F32 || count == 1 ? 1e-5f : 0x1p-8f * 3.5f;
    for (int row = 0; row < rows; row++) {
      bool right = same(got.lse[row], wanted.lse[row], 1e-5f);
      for (int d = 0; d < valueDim; d++)
        right &= same(got.out[row * valueDim + d], wanted.out[row * valueDim + d], tolerance);
      if (!right) {
        fail("%s: format %u in place, %d keys: row %d of %d, lse %g, not %g", kernels.name, format, count, row, rows,
             got.lse[row], wanted.lse[row]);
      }
    }
  }
}

} // namespace

int main(int argc, char **argv) {
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (const int rows : {1, 2, 3, 4, 5, 8}) {
      for (const int count : {1, 7, 64}) {
        for (const uint32_t format : {PMLA_KV_FP8_656, PMLA_KV_FP8_584}) {
          for (const uint32_t dtype : {PMLA_F32, PMLA_BF16}) check(*kernels, dtype, format, rows, count);
        }
      }
    }
  }
  return finish();
}
