#include "launch-attend.h"

#include "launch-tiles.h"

namespace polymla {

AttendKernel AttendKernel::choose(Compute compute, int64_t rows, int sharedMost) {
  if (compute == Compute::F32) {
    TileSizes sizes = F32Kernels::sizes;
    if (sizes.bytes > sharedMost) sizes.rows = 0;
    return {compute, sizes};
  }
  return {compute, tilesFor(rows <= 16 ? 16 : rows <= 32 ? 32 : 64, sharedMost)};
}

int AttendKernel::least(Compute compute) { return compute == Compute::F32 ? F32Kernels::sizes.bytes : leastHalfTiles.bytes; }

void prepareAttend(int sharedMost) {
  HalfKernels<Bf16>::prepare(sharedMost);
  HalfKernels<F16>::prepare(sharedMost);
  F32Kernels::prepare(sharedMost);
}

void launchAttend(const AttendKernel &kernel, bool direct, const AttendParams &params, rt::Stream stream) {
  switch (kernel.compute) {
  case Compute::Bf16: HalfKernels<Bf16>::launch(kernel.sizes, direct, params, stream); break;
  case Compute::F16: HalfKernels<F16>::launch(kernel.sizes, direct, params, stream); break;
  case Compute::F32: F32Kernels::launch(params, stream); break;
  }
  if (params.schedule != nullptr && params.places > 0) launchCombine(params, stream);
}

} // namespace polymla
