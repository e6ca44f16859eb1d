#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "../kernels/convert.h"
#include "../ops/ops.h"
#include "kernels-check.h"

/* What the tests of ops share: numbers that every format holds, memory that is NaN, and a way to run jobs. */
namespace polymla::cpu::test {

using Generator = std::mt19937_64;

inline int64_t integer(Generator &random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

/** A multiple of 1/8 in [−15/8, 15/8]: exact in every element type. */
inline double number(Generator &random) { return static_cast<double>(integer(random, -15, 15)) / 8; }

inline std::vector<double> numbers(Generator &random, int64_t count) {
  std::vector<double> made(static_cast<size_t>(count));
  for (double &value : made) value = number(random);
  return made;
}

inline int64_t elementBytes(uint32_t dtype) { return dtype == PMLA_F32 ? 4 : dtype == PMLA_E4M3 ? 1 : 2; }

inline void put(uint32_t dtype, double value, std::byte *to) {
  const auto single = static_cast<float>(value);
  const uint16_t half = dtype == PMLA_BF16 ? encodeBf16(single) : encodeF16(single);
  const uint8_t code = encodeE4m3(single);
  if (dtype == PMLA_F32) std::memcpy(to, &single, 4);
  else if (dtype == PMLA_E4M3) std::memcpy(to, &code, 1);
  else std::memcpy(to, &half, 2);
}

inline double get(uint32_t dtype, const std::byte *from) {
  if (dtype == PMLA_F32) {
    float value;
    std::memcpy(&value, from, 4);
    return value;
  }
  uint16_t code = 0;
  std::memcpy(&code, from, static_cast<size_t>(elementBytes(dtype)));
  return valueOf(dtype, code);
}

/** Memory full of NaN, whatever it is read as, with a border that must stay as it is. */
class Output {
public:
  explicit Output(int64_t bytes) : memory(static_cast<size_t>(bytes) + 2 * BORDER, std::byte{0xff}) {}
  std::byte *data() { return memory.data() + BORDER; }
  float *floats() { return reinterpret_cast<float *>(data()); }
  bool borderIntact() const {
    const auto intact = [](std::byte b) { return b == std::byte{0xff}; };
    return std::all_of(memory.begin(), memory.begin() + BORDER, intact) &&
           std::all_of(memory.end() - BORDER, memory.end(), intact);
  }
  bool operator==(const Output &other) const { return memory == other.memory; }

private:
  static constexpr size_t BORDER = 256;
  Bytes memory;
};

/** Runs a job as a runtime does, units in random order on memory that holds NaN. */
inline void run(const Job &job, size_t scratchBytes, Generator &random) {
  const size_t bytes = (scratchBytes + 63) / 64 * 64;
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte *>(std::aligned_alloc(64, bytes + 64)), &std::free);
  for (int phase = 0; phase < job.phases(); phase++) {
    std::vector<int64_t> units(static_cast<size_t>(job.units(phase)));
    std::iota(units.begin(), units.end(), 0);
    std::shuffle(units.begin(), units.end(), random);
    for (const int64_t unit : units) {
      std::memset(memory.get(), 0xff, bytes + 64);
      job.run(phase, unit, {memory.get(), scratchBytes});
      for (size_t i = scratchBytes; i < bytes + 64; i++) {
        if (memory.get()[i] != std::byte{0xff}) return fail("a unit wrote past its scratch");
      }
    }
  }
}

/** A cache in which everything that no test has written is NaN. */
class Cache {
public:
  Cache(uint32_t format, int64_t pages, int64_t pageSize, int64_t headsKv, int64_t headDim, int64_t gap) {
    const int64_t token = format == PMLA_KV_FP8_656   ? 656
                          : format == PMLA_KV_FP8_584 ? 584
                                                      : headsKv * headDim;
    layout = {format, 0, pages, pageSize, headsKv, headDim, pageSize * token + gap};
    bytes.assign(static_cast<size_t>(pages * layout.page_stride * itemBytes()),
                 format == PMLA_KV_E4M3 ? std::byte{0x7f} : std::byte{0xff});
  }

  std::byte *data() { return bytes.data(); }
  size_t bytesInAll() const { return bytes.size(); }

  /** Zeroes, in an image of the cache, the bytes of a token of all heads. */
  void mark(int64_t slot, Bytes &image) const {
    const int64_t offset = slot % layout.page_size;
    const int64_t start = slot / layout.page_size * layout.page_stride * itemBytes();
    const bool scalesApart = layout.format == PMLA_KV_FP8_584;
    const int64_t token = layout.format == PMLA_KV_FP8_656 ? 656
                          : scalesApart                    ? 576
                                                           : layout.heads_kv * layout.head_dim * itemBytes();
    std::fill_n(image.begin() + start + offset * token, token, std::byte{0});
    if (scalesApart)
      std::fill_n(image.begin() + start + layout.page_size * 576 + offset * 8, 8, std::byte{0});
  }

  /** Writes random keys; returns what they stand for, an e4m3 tensor's without its scale. */
  std::vector<double> fill(int64_t page, int64_t offset, int64_t head, Generator &random) {
    std::vector<double> key = numbers(random, layout.head_dim);
    std::byte *start = data() + page * layout.page_stride * itemBytes();
    if (layout.format == PMLA_KV_FP8_656) fill656(start + offset * 656, key, random);
    else if (layout.format == PMLA_KV_FP8_584) fill584(start, offset, key, random);
    else {
      const int64_t at = (offset * layout.heads_kv + head) * layout.head_dim;
      for (int64_t d = 0; d < layout.head_dim; d++)
        put(dtype(), key[static_cast<size_t>(d)], start + (at + d) * itemBytes());
    }
    return key;
  }

  pmla_kv_layout layout;

private:
  uint32_t dtype() const { return layout.format; } // plain formats have the numbers of their dtypes
  int64_t itemBytes() const { return layout.format > PMLA_KV_E4M3 ? 1 : elementBytes(dtype()); }

  static void fill656(std::byte *to, std::vector<double> &key, Generator &random) {
    for (size_t group = 0; group < 4; group++) {
      const double scale = std::ldexp(1.0, static_cast<int>(integer(random, -1, 1)));
      put(PMLA_F32, scale, to + 512 + 4 * group);
      for (size_t d = 128 * group; d < 128 * (group + 1); d++) putScaled(key[d], scale, to + d);
    }
    for (size_t d = 512; d < 576; d++) put(PMLA_BF16, key[d], to + 528 + 2 * (d - 512));
  }

  void fill584(std::byte *page, int64_t offset, std::vector<double> &key, Generator &random) const {
    std::byte *to = page + offset * 576;
    std::byte *scales = page + layout.page_size * 576 + offset * 8;
    for (size_t group = 0; group < 7; group++) {
      const auto exponent = static_cast<int>(integer(random, -1, 1));
      scales[group] = static_cast<std::byte>(127 + exponent);
      for (size_t d = 64 * group; d < 64 * (group + 1); d++)
        putScaled(key[d], std::ldexp(1.0, exponent), to + d);
    }
    for (size_t d = 448; d < 512; d++) put(PMLA_BF16, key[d], to + 448 + 2 * (d - 448));
  }

  static void putScaled(double &value, double scale, std::byte *to) {
    put(PMLA_E4M3, value, to);
    value *= scale;
  }

  Bytes bytes;
};

/** Softmax attention of one query over keys, in double. */
struct Attended {
  std::vector<double> out;
  double lse = std::numeric_limits<double>::infinity();
  double maxLogit = -std::numeric_limits<double>::infinity();
};

inline Attended attendTo(const double *q, const std::vector<const double *> &keys, int64_t headDim,
                         int64_t valueDim, double scale) {
  Attended result;
  result.out.assign(static_cast<size_t>(valueDim), 0);
  std::vector<double> logits;
  for (const double *key : keys) logits.push_back(scale * std::inner_product(q, q + headDim, key, 0.0));
  if (keys.empty()) return result;
  result.maxLogit = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t j = 0; j < keys.size(); j++) {
    const double weight = std::exp(logits[j] - result.maxLogit);
    sum += weight;
    for (size_t d = 0; d < result.out.size(); d++) result.out[d] += weight * keys[j][d];
  }
  for (double &value : result.out) value /= sum;
  result.lse = result.maxLogit + std::log(sum);
  return result;
}

/** Infinities and NaN must coincide; all else within either bound. */
inline bool close(double found, double expected, double absolute, double relative) {
  if (!std::isfinite(expected)) return std::isnan(expected) ? std::isnan(found) : found == expected;
  return std::fabs(found - expected) <= std::max(absolute, relative * std::fabs(expected));
}

} // namespace polymla::cpu::test
