#pragma once
#include "launch-tiles.h"

// Members of HalfKernels, apart from their declaration: whoever sees them compiles every kernel.

namespace polymla {

template <class T> void HalfKernels<T>::prepare(int sharedMost) {
  AllHalfTiles::each([&]<class Tiles>() {
    if (!usesTiles(sizesOf<Tiles>(), sharedMost)) return;
    allowShared(attendKernel<T, Tiles, true>, sizesOf<Tiles>().bytes);
    allowShared(attendKernel<T, Tiles, false>, sizesOf<Tiles>().bytes);
  });
}

template <class T>
void HalfKernels<T>::launch(const TileSizes &chosen, bool direct, const AttendParams &params, rt::Stream stream) {
  AllHalfTiles::each([&]<class Tiles>() {
    if (sizesOf<Tiles>() != chosen) return;
    launchKernel(direct ? attendKernel<T, Tiles, true> : attendKernel<T, Tiles, false>, "attend", params.units(), attendThreads,
                 chosen.bytes, stream, params);
  });
}

} // namespace polymla
