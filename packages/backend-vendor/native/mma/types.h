#pragma once
#include "gpu/dialect/dialect.h"
#include "gpu/ops/small-float.h"

#include <type_traits>

namespace polymla {

// What tiles in shared memory hold, and products are made of; sums are always fp32.

struct Bf16 {
  using Storage = uint16_t;
  static PMLA_DEVICE float load(Storage code) { return floatOf(static_cast<uint32_t>(code) << 16); }
  static PMLA_DEVICE Storage store(float value) { return roundToBf16(value); }
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

/** Rounds neighbours. */
template <class T, int Count> PMLA_DEVICE void storeAll(typename T::Storage (&codes)[Count], const float *numbers) {
#if defined(PMLA_DIALECT_CUDA)
  // Two at a time, by one instruction, whose NaN has another code.
  if constexpr (sizeof(typename T::Storage) == 2 && Count % 2 == 0) {
    PMLA_UNROLL
    for (int i = 0; i < Count; i += 2) {
      uint32_t pair;
      if constexpr (std::is_same_v<T, Bf16>) asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(numbers[i + 1]), "f"(numbers[i]));
      else asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(numbers[i + 1]), "f"(numbers[i]));
      codes[i] = static_cast<uint16_t>(pair);
      codes[i + 1] = static_cast<uint16_t>(pair >> 16);
    }
  } else
#endif
  {
    PMLA_UNROLL
    for (int i = 0; i < Count; i++) codes[i] = T::store(numbers[i]);
  }
}

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
  static constexpr int eightChunks = 128; ///< bytes from a chunk to the eighth one after it
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
