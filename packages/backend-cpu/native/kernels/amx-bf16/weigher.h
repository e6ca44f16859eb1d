#pragma once

#include "../avx512-bf16/softmax.h"
#include "products.h"
#include "../avx512-bf16/transpose.h"

namespace polymla::cpu {
namespace {

/** Turns the logits of a tile of keys into weights, in small parts, for tile products go on meanwhile. */
class Weigher {
public:
  explicit Weigher(Bf16State &state) : state(state), vector(state.vectors) {}

  /** Begins with a tile of `count` keys, whose weights are the `slot`-th of the group; maxima are raised
   * already. */
  void start(float *tileLogits, int count, int slot) {
    logits = tileLogits;
    keys = count;
    step = slot * (TILE_KEYS / STEP_KEYS);
    vector = key = 0;
  }

  /** Four keys of a vector of rows. */
  void work() {
    if (vector == state.vectors) return;
    {
      RowWeights rows(state, vector * LANES);
      const float *from = logitTile(logits, vector, key);
      __m512i *to = pairs + key % STEP_KEYS / 2;
      for (int j = 0; j < PART; j += 2) {
        const int left = keys - key - j;
        *to++ = left >= 2   ? rows.pair(from + j * LANES)
                : left == 1 ? rows.last(from + j * LANES)
                            : _mm512_setzero_si512();
      }
    }
    key += PART;
    if (key % STEP_KEYS != 0) return;
    store();
    if (key < TILE_KEYS) return;
    key = 0;
    vector++;
  }

  void finish() {
    while (vector < state.vectors) work();
  }

private:
  static constexpr int PART = 4;

  void store() {
    __m512i rows[TILE_ROWS];
    for (int i = 0; i < TILE_ROWS; i++) rows[i] = pairs[i];
    transpose(rows);
    uint32_t *target = weightTile(state, vector, step + key / STEP_KEYS - 1);
    for (int r = 0; r < TILE_ROWS; r++) _mm512_store_si512(target + r * LANES, rows[r]);
  }

  Bf16State &state;
  float *logits = nullptr;
  int keys = 0;
  int step = 0;
  int vector; // where the work stands
  int key = 0;
  __m512i pairs[TILE_ROWS]; // of 32 keys
};

} // namespace
} // namespace polymla::cpu
