#include "combine.h"
#include "launch-tiles.h"

namespace polymla {

void F32Kernels::prepare(int sharedMost) {
  if (sizes.bytes <= sharedMost) allowShared(attendKernel<F32, Tiles, false>, sizes.bytes);
}

void F32Kernels::launch(const AttendParams &params, rt::Stream stream) {
  launchKernel(attendKernel<F32, Tiles, false>, "attend", params.units(), attendThreads, sizes.bytes, stream, params);
}

void launchCombine(const AttendParams &params, rt::Stream stream) {
  launchKernel(combineKernel, "combine", params.batch * params.queryTokens * params.heads, combineThreads, 0, stream, params);
}

} // namespace polymla
