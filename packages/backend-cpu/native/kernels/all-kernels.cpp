#include "isa.h"

namespace polymla::cpu {

namespace {

constexpr const Kernels *ALL_KERNELS[] = {
#if defined(__x86_64__) || defined(_M_X64)
    &amxBf16Kernels, &avx512Bf16Kernels, &avx512Kernels, &avx2Kernels,
#elif defined(__aarch64__)
    &neonKernels,
#endif
    &scalarKernels,
};

} // namespace

const Kernels *const *allKernels(int *count) {
  *count = sizeof ALL_KERNELS / sizeof *ALL_KERNELS;
  return ALL_KERNELS;
}

} // namespace polymla::cpu
