#pragma once

#include <cstdint>

#include "../avx512/intrinsics.h"

namespace polymla::cpu {
namespace {

/** Rows of a tile register, and pairs of bf16 or f32 numbers in a row. */
constexpr int TILE_ROWS = 16;
/** Words of 4 bytes in a tile. */
constexpr int TILE_WORDS = TILE_ROWS * 16;
/** Bytes in a row of a tile. */
constexpr int TILE_ROW_BYTES = 64;

/** What ldtilecfg reads: all eight registers as 16 rows of 64 bytes. */
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig TILE_CONFIG;

/** The unit is on, and its registers set up, for as long as this lives. */
class TileUnit {
public:
  TileUnit() { _tile_loadconfig(&TILE_CONFIG); }
  ~TileUnit() { _tile_release(); }
  TileUnit(const TileUnit &) = delete;
  TileUnit &operator=(const TileUnit &) = delete;
};

} // namespace
} // namespace polymla::cpu
