#pragma once
#include "../dialect/launch.h"
#include "attend.h"
#include "launch-attend.h"

namespace polymla {

using AttendFunction = void (*)(const AttendParams);

/** Kernels for numbers of one type: a source file each, so that they compile side by side. */
template <class T> struct HalfKernels {
  /** Lets every kernel that a device may choose be launched on it. */
  static void prepare(int sharedMost) {
    forEach([&](TileSizes sizes, AttendFunction direct, AttendFunction converting, int bytes) {
      if (!usesTiles(sizes, sharedMost)) return;
      allowShared(direct, bytes);
      allowShared(converting, bytes);
    });
  }

  static void launch(const AttendKernel &chosen, bool direct, const AttendParams &params, rt::Stream stream) {
    forEach([&](TileSizes sizes, AttendFunction copying, AttendFunction converting, int bytes) {
      if (sizes.rows != chosen.rows || sizes.keys != chosen.keys) return;
      launchKernel(direct ? copying : converting, "attend", params.units(), attendThreads, bytes, stream, params);
    });
  }

private:
  template <int Rows, int Keys, class Call> static void one(Call &&call) {
    using Tiles = AttendTiles<Rows, Keys, 576, 512, 2>;
    using Shared = AttendShared<T, Tiles>;
    static_assert(halfTileBytes({Rows, Keys}) == Shared::bytes);
    call(TileSizes{Rows, Keys}, attendKernel<T, Tiles, true>, attendKernel<T, Tiles, false>, Shared::bytes);
  }
  template <class Call> static void forEach(Call &&call) {
    one<64, 64>(call);
    one<64, 32>(call);
    one<32, 64>(call);
    one<32, 32>(call);
    one<32, 16>(call);
    one<16, 64>(call);
    one<16, 32>(call);
    one<16, 16>(call);
  }
};

/** Kernels for fp32, which no matrix unit multiplies. */
struct F32Kernels {
  using Tiles = AttendTiles<16, 16, 576, 576, 1>;
  static constexpr int bytes = AttendShared<F32, Tiles>::bytes;
  static void prepare(int sharedMost);
  static void launch(const AttendParams &params, rt::Stream stream);
};

extern template struct HalfKernels<Bf16>;
extern template struct HalfKernels<F16>;

void launchCombine(const AttendParams &params, rt::Stream stream);

} // namespace polymla
