#include "half-kernels.h"

template struct polymla::HalfKernels<polymla::Bf16>;
