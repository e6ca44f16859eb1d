#pragma once
#include "../mma/mma.h"
#include "params.h"

namespace polymla {

/** Sizes of an attention kernel's tiles: query rows, keys, widest key, widest value, and tiles of keys under way. */
template <int Rows, int Keys, int Width, int Values, int Stages> struct AttendTiles {
  static constexpr int rows = Rows;
  static constexpr int keys = Keys;
  static constexpr int width = Width;
  static constexpr int values = Values;
  static constexpr int stages = Stages;
};

constexpr int attendThreads = 256;

/** Shared memory of a block. */
template <class T, class Tiles> struct AttendShared {
  static constexpr int size = static_cast<int>(sizeof(typename T::Storage));
  static constexpr int queries = 0;
  static constexpr int keys = queries + Tiles::rows * Tiles::width * size;
  static constexpr int keyTile = Tiles::keys * Tiles::width * size;
  static constexpr int weights = keys + Tiles::stages * keyTile;
  static constexpr int rest = weights + Tiles::rows * Tiles::keys * size;

  struct Rest {
    const unsigned char *key[2][Tiles::keys]; ///< of a tile; null where there is none
    int32_t within[2][Tiles::keys];           ///< token in its page; ~token in the extra cache
    float partial[Tiles::keys / 16][Tiles::rows];
    float factor[Tiles::rows];
    Piece piece; ///< here, since registers are scarce
  };
  static constexpr int bytes = rest + static_cast<int>(sizeof(Rest));
};

// Tiles by shared memory: a device has one set of kernels of 16, 32 and 64 rows, the largest that fit.

struct TileSizes {
  int rows, keys;
};

constexpr int halfTileBytes(TileSizes sizes) {
  return 2 * (sizes.rows * 576 + 2 * sizes.keys * 576 + sizes.rows * sizes.keys) + 24 * sizes.keys +
         4 * sizes.rows * (sizes.keys / 16 + 1) + 40;
}

/** Tiles of half-precision numbers for up to so many rows; {0, 0} where even the smallest do not fit. */
constexpr TileSizes tilesFor(int rows, int shared) {
  constexpr TileSizes all[] = {{64, 64}, {64, 32}, {32, 64}, {32, 32}, {32, 16}, {16, 64}, {16, 32}, {16, 16}};
  for (const TileSizes sizes : all) {
    if (sizes.rows <= rows && halfTileBytes(sizes) <= shared) return sizes;
  }
  return {0, 0};
}

constexpr bool usesTiles(TileSizes sizes, int shared) {
  for (int rows = 16; rows <= 64; rows *= 2) {
    const TileSizes chosen = tilesFor(rows, shared);
    if (chosen.rows == sizes.rows && chosen.keys == sizes.keys) return true;
  }
  return false;
}

/**
 * Whether a device that runs this code may choose these tiles: what it cannot choose is not compiled for it. Bytes of
 * shared memory that a block may have at most, by architecture.
 */
constexpr bool compilesTiles([[maybe_unused]] TileSizes sizes) {
#if defined(PMLA_DIALECT_CUDA) && defined(__CUDA_ARCH__)
#if __CUDA_ARCH__ == 800
  return usesTiles(sizes, 166912) || usesTiles(sizes, 101376); // 8.0 and 8.7; 8.6 and 8.9 run it, too
#elif __CUDA_ARCH__ == 870
  return usesTiles(sizes, 166912);
#elif __CUDA_ARCH__ < 900 || __CUDA_ARCH__ >= 1200
  return usesTiles(sizes, 101376);
#else
  return usesTiles(sizes, 232448);
#endif
#elif defined(PMLA_DIALECT_HIP) && defined(__gfx950__)
  return usesTiles(sizes, 163840);
#elif defined(PMLA_DIALECT_HIP) && defined(__HIP_DEVICE_COMPILE__)
  return usesTiles(sizes, 65536);
#else
  return true;
#endif
}

} // namespace polymla
