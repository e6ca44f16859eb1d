#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "polymla_backend.h"

namespace polymla::cpu::bench {

/** Of the problem all rates are for: DeepSeek's absorbed MLA; a format of 584 bytes has 512 dims. */
constexpr int VALUE_DIM = 512;
constexpr int PAGE_SIZE = 64;

/** A paged cache of random tokens, larger than processor caches, with its pages in random order. */
class Cache {
public:
  Cache(uint32_t format, size_t bytes);

  uint32_t format() const { return format_; }
  int headDim() const { return format_ == PMLA_KV_FP8_584 ? 512 : 576; }
  size_t tokenBytes() const;
  size_t pages() const { return order.size(); }
  const std::byte *begin() const { return memory.get(); }
  /** A token's first byte and, in the format that has them apart, its scales; `page` counts in the random
   * order. */
  const std::byte *token(size_t page, int offset) const;
  const std::byte *scales(size_t page, int offset) const;
  /** The numbers of a token, [headDim]. */
  void values(size_t page, int offset, double *target) const;

private:
  size_t pageBytes() const;

  struct Free {
    void operator()(std::byte *memory) const { std::free(memory); }
  };
  uint32_t format_;
  std::unique_ptr<std::byte, Free> memory;
  std::vector<uint32_t> order;
};

/** A number that a code of bf16, f16, f32 or e4m3 stands for, by its definition. */
double numberAt(uint32_t dtype, const std::byte *code);
/** The code of a normal number, exact where its type holds it. */
void putNumber(uint32_t dtype, std::byte *code, double number);
size_t numberBytes(uint32_t dtype);

/** Reproducible random numbers: splitmix64 (Vigna, public domain algorithm). */
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t bits();
  /** About normal, of deviation 1, within ±3.5. */
  double normal();

private:
  uint64_t state;
};

} // namespace polymla::cpu::bench
