#pragma once
#include <cuda_runtime.h>

namespace polymla {

/** Whether kernels are launched so that they may begin while the one ahead of them ends: drivers for CUDA 12.3 and later have it in graphs, too. */
inline bool launchesEarly() {
  static const bool known = [] {
    int version = 0;
    return cudaDriverGetVersion(&version) == cudaSuccess && version >= 12030;
  }();
  return known;
}

}  // namespace polymla
