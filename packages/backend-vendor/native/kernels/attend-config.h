#pragma once
#include "../mma/mma.h"
#include "params.h"
#include "tile-sizes.h"

namespace polymla {

/** Sizes of an attention kernel's tiles: query rows, keys, tiles of keys in shared memory, widest key, widest value. */
template <int Rows, int Keys, int Stages, int Width, int Values> struct AttendTiles {
  static constexpr int rows = Rows;
  static constexpr int keys = Keys;
  static constexpr int stages = Stages;
  static constexpr int width = Width;
  static constexpr int values = Values;
  static constexpr int rowTiles = Rows / 16;
  static constexpr int keyTiles = Keys / 16;
  /** 16 × 16 tiles of logits that a team computes: the more, the less is read from shared memory for each. */
  static constexpr int rowTilesEach = rowTiles >= 4 ? 2 : 1;
  static constexpr int keyTilesEach = keyTiles >= 4 ? 2 : 1;
  static constexpr int rowGroups = rowTiles / rowTilesEach;
  static constexpr int keyGroups = keyTiles / keyTilesEach;
};

constexpr int attendThreads = 256;

/** The hook that multiplies a kernel's tiles, how they lie in shared memory, and what of the logits a team has. */
template <class T, class Tiles, bool Wide = hasWideMma<T> && Tiles::rows % 32 == 0 && Tiles::keys % 32 == 0> struct AttendMma {
  using M = Mma<T>;
  static constexpr bool wide = false;
  using Queries = Tile<T, Tiles::width>;
  using Keys = Tile<T, Tiles::width>;
  using Weights = Tile<T, Tiles::keys>;
  static constexpr int rowTilesEach = Tiles::rowTilesEach;
  static constexpr int keyTilesEach = Tiles::keyTilesEach;
  static constexpr int keyGroups = Tiles::keyGroups;
  static constexpr int logitTeams = Tiles::rowGroups * Tiles::keyGroups;
};

template <class T, class Tiles> struct AttendMma<T, Tiles, true> {
  using M = WideMma<T>;
  static constexpr bool wide = true;
  using Queries = typename M::template LeftTile<Tiles::rows, Tiles::width>;
  using Keys = typename M::template KeyTile<Tiles::keys, Tiles::width>;
  using Weights = typename M::template LeftTile<Tiles::rows, Tiles::keys>;
  static constexpr int rowTilesEach = 2;
  static constexpr int keyTilesEach = Tiles::keyTiles;
  static constexpr int keyGroups = 1;
  static constexpr int logitTeams = Tiles::rowTiles / rowTilesEach;
};

/** Shared memory of a block. */
template <class T, class Tiles> struct AttendShared {
  static constexpr int size = static_cast<int>(sizeof(typename T::Storage));
  static constexpr int queries = 0;
  static constexpr int keys = queries + Tiles::rows * Tiles::width * size;
  static constexpr int keyTile = Tiles::keys * Tiles::width * size;
  static constexpr int weights = keys + Tiles::stages * keyTile;
  static constexpr int rest = weights + Tiles::rows * Tiles::keys * size;
  /** Tiles of which it must be known which keys are missing: those under way, and one that is being located. */
  static constexpr int lists = Tiles::stages + 1;

  struct Rest {
    const unsigned char *key[2][Tiles::keys]; ///< of a tile; null where there is none
    int32_t within[2][Tiles::keys];           ///< token in its page; ~token in the extra cache
    // Here, since registers are scarce: a compiler keeps there whatever follows from them.
    Piece piece;
    RowBlock rows;
    int32_t tileWithGaps[lists];              ///< the tile that keys are missing of, or another one
    bool missing[lists][Tiles::keys];
    bool raises[2];                           ///< whether a tile's weights need new references; of tiles in turn
    float partial[Tiles::keyGroups][Tiles::rows];
    float factor[Tiles::rows];
    float largest[Tiles::rows];
  };
  static constexpr int bytes = rest + static_cast<int>(sizeof(Rest));
};

// Tiles by shared memory: a device has one set of kernels of 16, 32 and 64 rows. Few rows wait for memory: they take small
// tiles, many of them under way. Many rows wait for shared memory and the matrix unit: they take large tiles.

/** For numbers of half precision. */
template <int Rows, int Keys, int Stages> using HalfTiles = AttendTiles<Rows, Keys, Stages, 576, 512>;

template <class Tiles> constexpr TileSizes sizesOf() {
  return {Tiles::rows, Tiles::keys, Tiles::stages, AttendShared<Bf16, Tiles>::bytes};
}

template <class... Tiles> struct TileList {
  static constexpr TileSizes sizes[sizeof...(Tiles)] = {sizesOf<Tiles>()...};
  template <class Call> static void each(Call &&call) { (call.template operator()<Tiles>(), ...); }
};

/** Better ones first. */
using AllHalfTiles = TileList<HalfTiles<64, 64, 2>, HalfTiles<64, 32, 2>, HalfTiles<32, 32, 4>, HalfTiles<32, 32, 3>,
                              HalfTiles<32, 16, 3>, HalfTiles<16, 32, 5>, HalfTiles<16, 32, 3>, HalfTiles<16, 32, 2>,
                              HalfTiles<16, 16, 2>>;
constexpr TileSizes leastHalfTiles = sizesOf<HalfTiles<16, 16, 2>>();

/** Tiles for up to so many rows; zeros where even the smallest do not fit. */
constexpr TileSizes tilesFor(int rows, int shared) {
  for (const TileSizes &sizes : AllHalfTiles::sizes) {
    if (sizes.rows <= rows && sizes.bytes <= shared) return sizes;
  }
  return {0, 0, 0, 0};
}

constexpr bool usesTiles(const TileSizes &sizes, int shared) {
  return tilesFor(16, shared) == sizes || tilesFor(32, shared) == sizes || tilesFor(64, shared) == sizes;
}

/**
 * Whether a device that runs this code may choose these tiles: what it cannot choose is not compiled for it. Bytes of
 * shared memory that a block may have at most, by architecture.
 */
constexpr bool compilesTiles([[maybe_unused]] const TileSizes &sizes) {
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
