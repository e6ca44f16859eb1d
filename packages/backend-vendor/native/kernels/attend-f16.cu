#include "half-kernels.h"

template struct polymla::HalfKernels<polymla::F16>;
