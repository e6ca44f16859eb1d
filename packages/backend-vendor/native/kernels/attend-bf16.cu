#include "launch-tiles.h"

template struct polymla::HalfKernels<polymla::Bf16>;
