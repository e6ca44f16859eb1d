#pragma once
#include "types.h"

namespace polymla {

/** No matrix unit: two lanes share a row, and read their operands from shared memory as they multiply. */
template <class T> struct ScalarMma {
  static constexpr int lanes = 32;
  static constexpr int values = 8;
  static constexpr int rows = 1;
  static constexpr int run = 8;
  static constexpr int rowStep = 1;
  static constexpr int rowLanes = 2;
  static PMLA_DEVICE int rowOf(int lane, int) { return lane / 2; }
  static PMLA_DEVICE constexpr int rowIndex(int) { return 0; }
  static PMLA_DEVICE int columnOf(int lane, int i) { return lane % 2 * 8 + i; }

  using Storage = typename T::Storage;
  static constexpr int chunk = chunkOf<T>;

  struct Left {
    const Storage *chunks[16 / chunk];
  };
  template <class TileT> struct Rows {
    TileT tile;
    int n, k;
  };
  template <class TileT> struct Columns {
    TileT tile;
    int k, n;
  };

  template <class TileT> static PMLA_DEVICE Left loadLeft(const TileT &tile, int lane, int row, int k) {
    Left left;
    PMLA_UNROLL
    for (int c = 0; c < 16 / chunk; c++) left.chunks[c] = tile.at(row + lane / 2, k + c * chunk);
    return left;
  }
  template <class TileT> static PMLA_DEVICE Rows<TileT> loadRows(const TileT &tile, int lane, int n, int k) {
    return {tile, n + lane % 2 * 8, k};
  }
  template <class TileT> static PMLA_DEVICE Columns<TileT> loadColumns(const TileT &tile, int lane, int k, int n) {
    return {tile, k, n + lane % 2 * 8};
  }

  static PMLA_DEVICE void spread(float (&numbers)[16], const Left &left) {
    PMLA_UNROLL
    for (int k = 0; k < 16; k++) numbers[k] = T::load(left.chunks[k / chunk][k % chunk]);
  }

  template <class TileT> static PMLA_DEVICE void multiply(float (&sums)[values], const Left &left, const Rows<TileT> &right) {
    float a[16];
    spread(a, left);
    PMLA_UNROLL
    for (int i = 0; i < values; i++) {
      // In eight lanes that a vector unit may add at once, where there is one.
      float parts[8] = {};
      PMLA_UNROLL
      for (int c = 0; c < 16 / chunk; c++) {
        const Storage *const b = right.tile.at(right.n + i, right.k + c * chunk);
        PMLA_UNROLL
        for (int j = 0; j < chunk; j++) parts[(c * chunk + j) % 8] += a[c * chunk + j] * T::load(b[j]);
      }
      sums[i] += ((parts[0] + parts[4]) + (parts[2] + parts[6])) + ((parts[1] + parts[5]) + (parts[3] + parts[7]));
    }
  }

  template <class TileT> static PMLA_DEVICE void multiply(float (&sums)[values], const Left &left, const Columns<TileT> &right) {
    float a[16];
    spread(a, left);
    PMLA_UNROLL
    for (int k = 0; k < 16; k++) {
      PMLA_UNROLL
      for (int c = 0; c < values / chunk; c++) {
        const Storage *const b = right.tile.at(right.k + k, right.n + c * chunk);
        PMLA_UNROLL
        for (int j = 0; j < chunk; j++) sums[c * chunk + j] += a[k] * T::load(b[j]);
      }
    }
  }
};

} // namespace polymla
