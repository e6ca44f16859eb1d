#pragma once
// A GPU that is none: kernels are C++, and every thread of a block is a fiber of the emulator.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../emulator/threads.h"
#include "marks.h"
#include "runtime.h"

namespace polymla {

using std::isfinite;
using std::max;
using std::min;

struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

PMLA_DEVICE int threadIndex() { return emulator::thread().index; }
PMLA_DEVICE int blockThreads() { return emulator::thread().threads; }
PMLA_DEVICE int64_t blockIndex() { return emulator::thread().block; }
PMLA_DEVICE int64_t blockCount() { return emulator::thread().blocks; }
PMLA_DEVICE int again(int value) { return value; }
PMLA_DEVICE void notForThisDevice() { emulator::trap(); }
PMLA_DEVICE void syncBlock(const std::source_location at = std::source_location::current()) {
  emulator::syncBlock({at.file_name(), static_cast<int>(at.line())});
}

template <class T>
PMLA_DEVICE T shuffleXor(T value, int step, const std::source_location at = std::source_location::current()) {
  static_assert(sizeof value <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = emulator::shuffleXor(bits, step, {at.file_name(), static_cast<int>(at.line())});
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

PMLA_DEVICE unsigned char *sharedMemory() { return emulator::thread().shared; }
PMLA_DEVICE uint32_t sharedAddress(const void *pointer) {
  return static_cast<uint32_t>(static_cast<const unsigned char *>(pointer) - sharedMemory());
}

#if defined(__x86_64__)
PMLA_DEVICE float floatOfF16(uint16_t code) { return _cvtsh_ss(code); }
PMLA_DEVICE uint16_t f16OfFloat(float value) { return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT); }
#else
PMLA_DEVICE float floatOfF16(uint16_t code) {
  __fp16 value;
  std::memcpy(&value, &code, sizeof value);
  return value;
}
PMLA_DEVICE uint16_t f16OfFloat(float value) {
  const __fp16 half = value;
  uint16_t code;
  std::memcpy(&code, &half, sizeof code);
  return code;
}
#endif

PMLA_DEVICE float powerOf2(float value) { return exp2f(value); }

// Compiled with -ffp-contract=off.
PMLA_DEVICE double product(double a, double b) { return a * b; }
PMLA_DEVICE double sum(double a, double b) { return a + b; }

// They land when they are waited for, and not before: a wait that is missing shows.
PMLA_DEVICE void copy16(void *to, const void *from, bool present) { emulator::copy16(to, from, present); }
PMLA_DEVICE void commitCopies() { emulator::commitCopies(); }
template <int Groups> PMLA_DEVICE void waitCopies() { emulator::waitCopies(Groups); }

} // namespace polymla
