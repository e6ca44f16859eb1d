#pragma once

#include "../avx512/intrinsics.h"

#include "../measure.h"

namespace polymla::cpu {
namespace {

/** One thread's products of bf16 pairs in registers for about `seconds`, as flop/s. */
inline double peakDot(double seconds) {
  constexpr int chains = 16;
  constexpr int rounds = 4096;
  __m512bh ones = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80));
  __m512 sums[chains];
  for (__m512 &sum : sums) sum = _mm512_setzero_ps();
  int64_t done = 0;
  const double start = now();
  double elapsed = 0;
  while (elapsed < seconds) {
    for (int round = 0; round < rounds; round++) {
      asm volatile("" : "+v"(ones)); // not known to the compiler
#pragma GCC unroll 16
      for (int i = 0; i < chains; i++) sums[i] = _mm512_dpbf16_ps(sums[i], ones, ones);
    }
    done += rounds;
    elapsed = now() - start;
  }
  for (__m512 &sum : sums) asm volatile("" ::"v"(sum));
  return 64.0 * chains * static_cast<double>(done) / elapsed;
}

} // namespace
} // namespace polymla::cpu
