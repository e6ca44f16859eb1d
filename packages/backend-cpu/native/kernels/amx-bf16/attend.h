#pragma once

#include <cstring>

#include "../ahead.h"
#include "../avx512-bf16/rows.h"
#include "products.h"
#include "weigher.h"

namespace polymla::cpu {
namespace {

/** Memory for TileAttention beside the state. */
struct TileBuffers {
  std::byte *keys;    // [TILE_KEYS][pairs]
  float *otherLogits; // as state.logits
};

/**
 * Attention by tile products. While one tile's logits are multiplied, the weights of the tile before are
 * computed. Values are multiplied for several tiles at once where there are many rows, since that loads and
 * stores all outputs.
 */
class TileAttention {
public:
  TileAttention(Bf16State &state, const TileBuffers &buffers, const KeyTile *tiles, int count, const KeyTile *next)
      : state(state), tiles(tiles), count(count),
        staged(buffers.keys), logits{state.logits, buffers.otherLogits}, weigher(state),
        ahead(tiles, count, next, state.headDim * 2, 64),
        groupTiles(state.vectors > 2 ? GROUP_KEYS / TILE_KEYS : 1) {}

  void attend() {
    ahead.skip(tiles[0].count);
    for (int i = 0; i < count; i++) {
      ahead.grant(TILE_KEYS);
      float *tileLogits = logits[i % 2];
      multiplyKeys(tiles[i], tileLogits);
      weigher.finish();
      if (held == groupTiles) addValues();
      raiseReferences(tiles[i], tileLogits);
      weigher.start(tileLogits, tiles[i].count, held);
      group[held++] = tiles[i];
    }
    weigher.finish();
    addValues();
  }

private:
  /**
   * Logits of a tile. One that is not whole, in keys or in steps of dims, is copied: behind its last dim are zeros,
   * behind its last key whatever was there, since nobody reads those logits.
   */
  void multiplyKeys(const KeyTile &tile, float *target) {
    const std::byte *keys = tile.keys;
    int64_t stride = tile.stride;
    if (tile.count < TILE_KEYS || state.headDim % (2 * TILE_ROWS) != 0) {
      keys = staged;
      stride = static_cast<int64_t>(state.pairs) * static_cast<int64_t>(sizeof(uint32_t));
      const auto bytes = static_cast<size_t>(state.headDim) * 2;
      for (int j = 0; j < tile.count; j++) {
        std::byte *key = staged + j * stride;
        std::memcpy(key, tile.keys + j * tile.stride, bytes);
        std::memset(key + bytes, 0, static_cast<size_t>(stride) - bytes);
      }
    }
    // A bit more than half of a tile of 576 dims; the rest while values are interleaved.
    const int lines = 64 / (state.vectors + 1);
    const auto work = [&] {
      weigher.work();
      ahead.work(lines);
    };
    int v = 0;
    for (; v + 2 <= state.vectors; v += 2) multiplyTwoVectors(state, v, keys, tile.count, stride, target, work);
    if (v < state.vectors) multiplyVector(state, v, keys, stride, target, work);
  }

  /** Takes the maxima of a tile's logits. Values that wait belong to the old references. */
  void raiseReferences(const KeyTile &tile, float *tileLogits) {
    __m512 largest[MAX_ROWS / LANES];
    bool raised = false;
    for (int v = 0; v < state.vectors; v++) {
      largest[v] = largestLogit(state, v * LANES, logitTile(tileLogits, v, 0), tile.count, tile.visible);
      raised |= outgrown(state, v * LANES, largest[v]) != 0;
    }
    if (raised) addValues();
    for (int v = 0; v < state.vectors; v++) raiseReference(state, v * LANES, largest[v]);
  }

  /** Interleaves 32 columns of the held tiles' values; zeros where there are no keys. */
  void interleavePanel(int column, int steps) {
    for (int key = 0; key < steps * STEP_KEYS; key += 2) {
      const KeyTile &tile = group[key / TILE_KEYS];
      const int j = key % TILE_KEYS;
      ValuePairs values = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      if (j < tile.count) {
        const std::byte *first = tile.keys + j * tile.stride;
        const std::byte *second = j + 1 < tile.count ? first + tile.stride : first; // its weight is 0
        values = interleave(state, first, second, column);
      }
      uint32_t *target = panelTile(state.panel, key / STEP_KEYS, 0) + key % STEP_KEYS / 2 * LANES;
      _mm512_store_si512(target, values.low);
      _mm512_store_si512(target + TILE_WORDS, values.high);
      ahead.work(1);
    }
  }

  /** Adds weights × values of all held tiles to the output. */
  void addValues() {
    if (held == 0) return;
    const int steps = (held - 1) * (TILE_KEYS / STEP_KEYS) + ceilDiv(group[held - 1].count, STEP_KEYS);
    for (int column = 0; column < state.columns; column += VALUE_BLOCK) {
      interleavePanel(column, steps);
      int v = 0;
      for (; v + 2 <= state.vectors; v += 2) addToTwoVectors(state, v, column, state.panel, steps);
      if (v < state.vectors) addToVector(state, v, column, state.panel, steps);
    }
    held = 0;
  }

  Bf16State &state;
  const KeyTile *const tiles;
  const int count;
  std::byte *const staged;
  float *const logits[2];
  Weigher weigher;
  Ahead ahead; // a cache line per unit of work
  const int groupTiles;
  KeyTile group[GROUP_KEYS / TILE_KEYS];
  int held = 0; // tiles whose values wait
};

} // namespace
} // namespace polymla::cpu
