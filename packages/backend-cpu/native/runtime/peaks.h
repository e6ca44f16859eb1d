#pragma once

#include "device.h"

namespace polymla::cpu {

struct Peaks {
  double readBytesPerSecond;
  double f32FlopsPerSecond;
  double bf16FlopsPerSecond;
  double f16FlopsPerSecond;
};

/**
 * What all threads of an idle device reach together: the best of some rounds. Reading is over memory of at
 * least twice the largest cache, as far as that much is free. Waits. Throws Failure.
 */
Peaks measurePeaks(Device &device);

} // namespace polymla::cpu
