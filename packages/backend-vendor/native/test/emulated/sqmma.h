#pragma once
// Moore Threads' SQMMA on the emulated devices, as mutlass 0.2 (78b3495) describes it: included before a kernel's source, it makes
// the wide hook of MP 3.1 that of the emulated devices. A squad's threads need not meet: each reads what its own sums take.

#include <cstring>

#include "gpu/dialect/dialect.h"

#define PMLA_EMULATED_SQMMA

namespace polymla::sqmma {

/** An operand in shared memory. */
struct Operand {
  uint32_t start, rowBytes, granule;
  bool along; ///< whether neighbours in k are neighbours in memory

  Operand(int descriptor, bool along) : along(along) {
    const auto bits = static_cast<uint32_t>(descriptor);
    start = bits & 0x3ffff;
    rowBytes = 4u << (bits >> 18 & 7);
    granule = bits >> 21 & 3 ? 8u << (bits >> 21 & 3) : 256;
  }

  float at(int outer, int k, int type) const {
    const uint32_t row = along ? outer : k, column = along ? k : outer;
    uint32_t address = start + row * rowBytes + column * 2;
    address ^= (address >> 8 & (256 / granule - 1)) * granule;
    uint16_t code;
    std::memcpy(&code, sharedMemory() + address, sizeof code);
    if (type == 2) return floatOfF16(code);
    const uint32_t wide = static_cast<uint32_t>(code) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  }
};

/** @param across bit by operand: the left one has neighbours in m; `along`: the right one has them in k */
template <int M, int N>
void multiply(int *to, const int *left, const int *right, const int *from, int across, int along, int k, int type) {
  const Operand a(*left, across == 0), b(*right, along == 1);
  const int thread = threadIndex() % 128;
  const int row = thread / 32 * 4 + thread / 8 % 4, column = thread % 8;
  for (int m = 0; m < M / 16; m++) {
    for (int n = 0; n < N / 8; n++) {
      const int i = m * N / 8 + n;
      float sum;
      std::memcpy(&sum, from + i, sizeof sum);
      for (int j = 0; j < k; j++) sum += a.at(row + 16 * m, j, type) * b.at(column + 8 * n, j, type);
      std::memcpy(to + i, &sum, sizeof sum);
    }
  }
}

} // namespace polymla::sqmma

#define PMLA_SQMMA(M, N)                                                                                                       \
  inline void __musa_sqmma_m##M##n##N##_mma(int *to, const int *left, const int *right, const int *from, int across, int along, \
                                            int, int, int, int, int k, int type) {                                             \
    polymla::sqmma::multiply<M, N>(to, left, right, from, across, along, k, type);                                             \
  }
PMLA_SQMMA(32, 32)
PMLA_SQMMA(32, 64)
PMLA_SQMMA(64, 64)
inline void __musa_sqmma_wait() {}
