#include "../isa.h"
#include "../vec-plain.h"
#include "../vector-kernels.h"

namespace polymla::cpu {

static bool usable() { return true; }

constinit const Kernels scalarKernels = VectorKernels<PlainVec>::named("scalar", usable);

} // namespace polymla::cpu
