#pragma once

#include "kernels.h"

namespace polymla::cpu {

#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels amxBf16Kernels;
extern const Kernels avx512Bf16Kernels;
extern const Kernels avx512Kernels;
extern const Kernels avx2Kernels;
/** Query rows up to which avx512/few-rows.h is for. */
constexpr int FEW_ROWS = 8;
#elif defined(__aarch64__)
extern const Kernels neonKernels;
#endif
extern const Kernels scalarKernels;

} // namespace polymla::cpu
