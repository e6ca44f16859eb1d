#pragma once

#include <vector>

#include "../kernels/kernels.h"
#include "cache.h"

namespace polymla::cpu::bench {

/** Of a steady clock. */
double secondsNow();

struct Measurement {
  double seconds;       // of the best pass
  double medianSeconds; // of a pass
  double readSeconds;   // median of what reading as many bytes in order takes, in passes between the others
  double outError; // √(Σ (out − exact)² / Σ exact²) of the rows checked, against float64
  double lseError; // largest difference
  double flops() const { return flop / seconds; }
  /** Usual, as are the next one and the share of it: what memory gives changes within seconds. */
  double bytesPerSecond() const { return bytes / medianSeconds; }
  double readBytesPerSecond() const { return bytes / readSeconds; }
  double flop;  // of one pass: 2 · rows · keys · (head dim + value dim)
  double bytes; // of one pass: keys as they lie in the cache, read once
};

/**
 * One request of `keys` keys and `rows` query rows of `dtype`, its pages divided among `threads` threads,
 * decoded again and again for about `seconds`; every pass takes other pages of the cache. In between, passes that only read.
 */
Measurement measure(const Kernels &kernels, const Cache &cache, uint32_t dtype, int rows, int64_t keys,
                    int threads, double seconds);

} // namespace polymla::cpu::bench
