#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace polymla::cpu {
namespace {

inline double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/** One thread's multiply-adds in registers for about `seconds`, as flop/s. */
template <class V> double peakF32(double seconds) {
  constexpr int chains = V::accumulators;
  constexpr int rounds = 4096;
  // The compiler does not know these, and sums stay about 2.
  const volatile float half = 0.5f, one = 1.0f;
  const auto factor = V::broadcast(half);
  const auto addend = V::broadcast(one);
  typename V::Floats sums[chains];
  for (int i = 0; i < chains; i++) sums[i] = V::broadcast(one + static_cast<float>(i));
  int64_t done = 0;
  const double start = now();
  double elapsed = 0;
  while (elapsed < seconds) {
    for (int round = 0; round < rounds; round++) {
#pragma GCC unroll 32
      for (int i = 0; i < chains; i++) sums[i] = V::fma(sums[i], factor, addend);
    }
    done += rounds;
    elapsed = now() - start;
  }
  auto total = sums[0];
  for (int i = 1; i < chains; i++) total += sums[i];
  const volatile auto keep = total;
  (void)keep;
  return 2.0 * V::lanes * chains * static_cast<double>(done) / elapsed;
}

inline double noUnit(double) { return 0; }

/** Adds up all of memory, in several streams that a processor prefetches apart from each other. */
template <class V> uint64_t readAll(const std::byte *memory, size_t bytes) {
  using Words = typename V::Words;
  constexpr size_t streams = 4;
  constexpr size_t line = 64 / sizeof(Words);
  const size_t lines = bytes / 64 / streams;
  Words sums[streams][line] = {};
  for (size_t i = 0; i < lines; i++) {
#pragma GCC unroll 8
    for (size_t s = 0; s < streams; s++) {
      const std::byte *place = memory + (s * lines + i) * 64;
#pragma GCC unroll 8
      for (size_t j = 0; j < line; j++) {
        Words words;
        std::memcpy(&words, place + j * sizeof words, sizeof words);
        sums[s][j] += words;
      }
    }
  }
  uint64_t total = 0;
  for (size_t i = streams * lines * 64; i < bytes; i++) total += static_cast<uint64_t>(memory[i]);
  uint64_t words[sizeof sums / sizeof(uint64_t)];
  std::memcpy(words, sums, sizeof words);
  for (const uint64_t word : words) total += word;
  return total;
}

} // namespace
} // namespace polymla::cpu
