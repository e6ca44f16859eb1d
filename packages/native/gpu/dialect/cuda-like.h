#pragma once
// The dialects that are CUDA but for names and a few rules.

#include "marks.h"
#include "runtime.h"

#include <cstdint>

#if defined(PMLA_DIALECT_HIP)
#include <hip/hip_fp16.h>
#elif defined(PMLA_DIALECT_MUSA)
#include <musa_fp16.h>
#elif defined(PMLA_DIALECT_MACA)
#include <maca_fp16.h>
#else
#include <cuda_fp16.h>
#endif

// Code for an architecture that nobody thought of is an error, never an empty kernel: CoreX has numbers of its own in
// __CUDA_ARCH__, and so passes for an ancient NVIDIA GPU wherever that is asked first.
#if defined(PMLA_DIALECT_COREX) && !defined(__ILUVATAR__)
#error "the CoreX dialect is for Iluvatar's compiler, which defines __ILUVATAR__"
#elif defined(PMLA_DIALECT_CUDA) && defined(__ILUVATAR__)
#error "this is Iluvatar's compiler: use PMLA_DIALECT_COREX"
#elif defined(PMLA_DIALECT_CUDA) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the kernels need compute capability 8.0 or newer: bf16 matrix instructions"
#elif defined(PMLA_DIALECT_HIP) && defined(__HIP_DEVICE_COMPILE__) && !defined(__AMDGCN__)
#error "the HIP dialect is for AMD's GPUs and Hygon's DCUs; for NVIDIA's use PMLA_DIALECT_CUDA"
#endif

namespace polymla {

PMLA_DEVICE int threadIndex() { return static_cast<int>(threadIdx.x); }
PMLA_DEVICE int blockThreads() { return static_cast<int>(blockDim.x); }
PMLA_DEVICE int64_t blockIndex() { return blockIdx.x; }
PMLA_DEVICE int64_t blockCount() { return gridDim.x; }
PMLA_DEVICE int again(int value) {
#if defined(PMLA_DIALECT_CUDA)
  asm volatile("" : "+r"(value));
#elif defined(PMLA_DIALECT_HIP) && defined(__HIP_DEVICE_COMPILE__)
  asm volatile("" : "+v"(value));
#endif
  return value;
}
PMLA_DEVICE void syncBlock() { __syncthreads(); }
/** Ends a kernel that the host does not launch on the device that this code is for. */
PMLA_DEVICE void notForThisDevice() {
#if defined(PMLA_DIALECT_HIP)
  __builtin_trap();
#else
  __trap();
#endif
}

/** Within groups of 32 lanes; every lane of the hardware's wave is there. */
template <class T> PMLA_DEVICE T shuffleXor(T value, int step) {
#if defined(PMLA_DIALECT_HIP) || defined(PMLA_DIALECT_COREX)
  return __shfl_xor(value, step, 32);
#elif defined(PMLA_DIALECT_MACA)
  return __shfl_xor_sync(~0ull, value, step, 32);
#else
  return __shfl_xor_sync(~0u, value, step, 32);
#endif
}

PMLA_DEVICE unsigned char *sharedMemory() {
#if defined(PMLA_DIALECT_MUSA)
  extern __shared__ __align__(4096) unsigned char memory[]; // SQMMA's granules change places by address
#else
  extern __shared__ __align__(128) unsigned char memory[];
#endif
  return memory;
}
#if defined(PMLA_DIALECT_MUSA)
PMLA_DEVICE uint32_t sharedAddress(const void *pointer) { return static_cast<uint32_t>(__cvta_generic_to_shared(pointer)); }
#endif

PMLA_DEVICE float floatOfF16(uint16_t code) { return __half2float(__ushort_as_half(code)); }
PMLA_DEVICE uint16_t f16OfFloat(float value) { return __half_as_ushort(__float2half_rn(value)); }

#if defined(PMLA_DIALECT_CUDA) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
#define PMLA_HAS_E4M3 1
/** Two e4m3 codes, rounded as SmallFloat does; `low` becomes the low byte. */
PMLA_DEVICE uint32_t e4m3OfFloats(float low, float high) {
  uint16_t codes;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(codes) : "f"(high), "f"(low));
  return codes;
}
#endif

/** About 2^value; 0 below the smallest normal number. */
PMLA_DEVICE float powerOf2(float value) {
#if defined(PMLA_DIALECT_CUDA)
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(value));
  return power;
#else
  return exp2f(value);
#endif
}

// Not contracted into fused ones.
#if defined(PMLA_DIALECT_HIP)
PMLA_DEVICE double product(double a, double b) {
#pragma clang fp contract(off)
  return a * b;
}
PMLA_DEVICE double sum(double a, double b) {
#pragma clang fp contract(off)
  return a + b;
}
#else
PMLA_DEVICE double product(double a, double b) { return __dmul_rn(a, b); }
PMLA_DEVICE double sum(double a, double b) { return __dadd_rn(a, b); }
#endif

#if defined(PMLA_DIALECT_CUDA)
/** Asynchronous; zeros where it is not `present`. Both ends are aligned to 16 bytes. */
PMLA_DEVICE void copy16(void *to, const void *from, bool present) {
  const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from), "r"(present ? 16 : 0)
               : "memory");
}
PMLA_DEVICE void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/** Until at most so many of this thread's groups are under way. */
template <int Groups> PMLA_DEVICE void waitCopies() { asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory"); }
#else
PMLA_DEVICE void copy16(void *to, const void *from, bool present) {
  const uint4 zeros{0, 0, 0, 0};
  *static_cast<uint4 *>(to) = present ? *static_cast<const uint4 *>(from) : zeros;
}
PMLA_DEVICE void commitCopies() {}
template <int Groups> PMLA_DEVICE void waitCopies() {}
#endif

} // namespace polymla
