#include "../isa.h"
#include "../vec-neon.h"
#include "../vector-kernels.h"

namespace polymla::cpu {

/** Part of every AArch64 processor. */
static bool usable() { return true; }

constinit const Kernels neonKernels = VectorKernels<NeonVec>::named("neon", usable);

} // namespace polymla::cpu
