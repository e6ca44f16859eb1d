#include "../isa.h"
#include "../vec-avx2.h"
#include "../vector-kernels.h"

namespace polymla::cpu {

static bool usable() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

constinit const Kernels avx2Kernels = VectorKernels<Avx2Vec>::named("avx2", usable);

} // namespace polymla::cpu
