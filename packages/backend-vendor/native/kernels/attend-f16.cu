#include "launch-tiles.h"

template struct polymla::HalfKernels<polymla::F16>;
