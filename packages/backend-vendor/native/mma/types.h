#pragma once
#include "../dialect/dialect.h"
#include "../ops/small-float.h"

namespace polymla {

// What tiles in shared memory hold, and products are made of; sums are always fp32.

struct Bf16 {
  using Storage = uint16_t;
  static PMLA_DEVICE float load(Storage code) { return floatOf(static_cast<uint32_t>(code) << 16); }
  /** Rounded to nearest even. NaN stays one. */
  static PMLA_DEVICE Storage store(float value) {
    const uint32_t bits = bitsOf(value);
    const bool isNan = (bits & 0x7fffffff) > 0x7f800000;
    return isNan ? 0x7fc0 : static_cast<Storage>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
};

struct F16 {
  using Storage = uint16_t;
  static PMLA_DEVICE float load(Storage code) { return floatOfF16(code); }
  static PMLA_DEVICE Storage store(float value) { return f16OfFloat(value); }
};

struct F32 {
  using Storage = float;
  static PMLA_DEVICE float load(Storage value) { return value; }
  static PMLA_DEVICE Storage store(float value) { return value; }
};

/** Numbers in 16 bytes. */
template <class T> constexpr int chunkOf = 16 / static_cast<int>(sizeof(typename T::Storage));

/**
 * Rows in shared memory, in chunks of 16 bytes. Chunks of a row change places by its number, so that the same columns of
 * eight neighbouring rows lie in different banks.
 */
template <class T, int Columns> struct Tile {
  using Type = T;
  using Storage = typename T::Storage;
  static constexpr int rowBytes = Columns * static_cast<int>(sizeof(Storage));
  static constexpr int chunks = rowBytes / 16;
  static_assert(rowBytes % 32 == 0);
  static constexpr int mixed = chunks % 8 == 0 ? 7 : chunks % 4 == 0 ? 3 : 1;

  unsigned char *memory;

  PMLA_DEVICE unsigned char *chunk(int row, int index) const {
    return memory + row * rowBytes + ((index ^ (row & mixed)) << 4);
  }
  PMLA_DEVICE Storage *at(int row, int column) const {
    return reinterpret_cast<Storage *>(chunk(row, column / chunkOf<T>)) + column % chunkOf<T>;
  }
};

} // namespace polymla
