#pragma once
#include "gpu/dialect/launch.h"
#include "attend-kernel.h"
#include "launch-attend.h"

namespace polymla {

/** Kernels for numbers of one type: a source file each, so that they compile side by side. */
template <class T> struct HalfKernels {
  /** Lets every kernel that a device may choose be launched on it. */
  static void prepare(int sharedMost);
  static void launch(const TileSizes &chosen, bool direct, const AttendParams &params, rt::Stream stream);
};

/** Kernels for fp32, which no matrix unit multiplies. */
struct F32Kernels {
  using Tiles = AttendTiles<16, 16, 1, 576, 576>;
  static constexpr TileSizes sizes{Tiles::rows, Tiles::keys, Tiles::stages, AttendShared<F32, Tiles>::bytes};
  static void prepare(int sharedMost);
  static void launch(const AttendParams &params, rt::Stream stream);
};

void launchCombine(const AttendParams &params, rt::Stream stream);

} // namespace polymla
