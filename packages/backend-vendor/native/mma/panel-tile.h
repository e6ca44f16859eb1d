#pragma once
#include "types.h"

namespace polymla {

/**
 * Rows in shared memory as units read them that take whole tiles by a descriptor: panels of up to 64 columns, one behind the
 * other, so that rows are 128 bytes apart at most. Within lines of 256 bytes, granules change places by the line's number.
 *
 * @tparam Granule bytes that stay together: 16 or 32
 */
template <class T, int Rows, int Columns, int Granule> struct PanelTile {
  using Type = T;
  using Storage = typename T::Storage;
  static constexpr int size = static_cast<int>(sizeof(Storage));
  static constexpr int rows = Rows;
  static constexpr int columns = Columns;
  static constexpr int granule = Granule;
  static constexpr int chunks = Columns * size / 16;
  static constexpr int panelColumns = Columns < 128 / size ? Columns : 128 / size;
  static constexpr int rowBytes = panelColumns * size;
  static constexpr int panelBytes = Rows * rowBytes;
  static constexpr int lines = 256 / Granule; ///< after so many, granules lie as in the first
  static constexpr int eightChunks = panelBytes;
  static_assert(Columns % panelColumns == 0 && 256 % rowBytes == 0);
  static_assert(Columns == panelColumns || panelBytes % (lines * 256) == 0);

  unsigned char *memory; ///< at a multiple of 4,096 of a block's shared memory

  /** Bytes from the tile's first one to a row of a panel, before granules change places. */
  static PMLA_DEVICE int offset(int row, int column) {
    return column / panelColumns * panelBytes + row * rowBytes + column % panelColumns * size;
  }
  PMLA_DEVICE unsigned char *chunk(int row, int index) const {
    const int plain = offset(row, index * chunkOf<T>);
    return memory + (plain ^ (plain >> 8 & (lines - 1)) * Granule);
  }
  PMLA_DEVICE Storage *at(int row, int column) const {
    return reinterpret_cast<Storage *>(chunk(row, column / chunkOf<T>)) + column % chunkOf<T>;
  }
};

} // namespace polymla
