#pragma once
#include "launch-tiles.h"

// Members of HalfKernels, apart from their declaration: whoever sees them compiles every kernel.

namespace polymla {

using AttendFunction = void (*)(const AttendParams);

template <int Rows, int Keys, class T, class Call> void forTiles(Call &&call) {
  using Tiles = AttendTiles<Rows, Keys, 576, 512, 2>;
  using Shared = AttendShared<T, Tiles>;
  static_assert(halfTileBytes({Rows, Keys}) == Shared::bytes);
  call(TileSizes{Rows, Keys}, attendKernel<T, Tiles, true>, attendKernel<T, Tiles, false>, Shared::bytes);
}

template <class T, class Call> void forAllTiles(Call &&call) {
  forTiles<64, 64, T>(call);
  forTiles<64, 32, T>(call);
  forTiles<32, 64, T>(call);
  forTiles<32, 32, T>(call);
  forTiles<32, 16, T>(call);
  forTiles<16, 64, T>(call);
  forTiles<16, 32, T>(call);
  forTiles<16, 16, T>(call);
}

template <class T> void HalfKernels<T>::prepare(int sharedMost) {
  forAllTiles<T>([&](TileSizes sizes, AttendFunction direct, AttendFunction converting, int bytes) {
    if (!usesTiles(sizes, sharedMost)) return;
    allowShared(direct, bytes);
    allowShared(converting, bytes);
  });
}

template <class T>
void HalfKernels<T>::launch(const AttendKernel &chosen, bool direct, const AttendParams &params, rt::Stream stream) {
  forAllTiles<T>([&](TileSizes sizes, AttendFunction copying, AttendFunction converting, int bytes) {
    if (sizes.rows != chosen.rows || sizes.keys != chosen.keys) return;
    launchKernel(direct ? copying : converting, "attend", params.units(), attendThreads, bytes, stream, params);
  });
}

} // namespace polymla
