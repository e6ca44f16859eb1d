#include "../isa.h"
#include "../vector-kernels.h"
#include "vec-avx512.h"

namespace polymla::cpu {

static bool usable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

constinit const Kernels avx512Kernels = VectorKernels<Avx512Vec>::named("avx512", usable);

} // namespace polymla::cpu
