#pragma once

#include "exp2.h"
#include "key-types.h"
#include "numbers.h"
#include "scores-f32.h"
#include "tile-after.h"
#include "values-f32.h"

namespace polymla::cpu {
namespace {

/**
 * Attention in fp32 by online softmax (Milakov and Gimelshein, arXiv 1805.02867), in powers of two: log2(e) is part of
 * the scale. With m the largest score that a row has seen,
 *
 *     score = scale · q · k,   sum = Σ 2^(score − m),   out = Σ 2^(score − m) · v
 *
 * Query rows are cut into blocks of V::rowVectors vectors; each tile passes every block, scores first, then values.
 */
template <class V> class AttentionF32 {
public:
  static size_t stateBytes(int rows, int headDim, int valueDim, Compute compute) {
    return View(nullptr, {rows, headDim, valueDim, compute}).bytes;
  }

  static void begin(void *memory, const Queries &queries, Compute compute) {
    const Shape shape{queries.count, queries.headDim, queries.valueDim, compute};
    std::memcpy(memory, &shape, sizeof shape);
    const View state(memory, shape);
    const int padded = state.paddedRows;
    for (int row = 0; row < padded; row++) state.max[row] = -__builtin_inff();
    for (int row = 0; row < padded; row++) state.sum[row] = 0;
    std::memset(state.out, 0, sizeof(float) * queries.count * queries.valueDim);
    std::memset(state.scores, 0, sizeof(float) * TILE_KEYS * BLOCK_ROWS);
    packQueries(state, queries);
  }

  static void attend(void *memory, const KeyTile *tiles, int count, const KeyTile *next) {
    if (count == 0) return;
    const View state(memory);
    withKeys<V>(state.compute, [&](auto keys) {
      using Keys = decltype(keys);
      const int keyBytes = state.headDim * Keys::bytes;
      if (state.few()) {
        // In what the two products have in common, vectors of numbers of keys.
        const int work = (state.headDim + state.valueDim) / V::lanes;
        Ahead ahead(tiles, count, next, keyBytes, (keyBytes + work - 1) / work);
        ahead.skip(groupKeys<Keys>);
        attendFew<Keys>(state, tiles, count, ahead);
      } else {
        for (int i = 0; i < count; i++) attendMany<Keys>(state, tiles[i], tileAfter(tiles, count, i, next));
      }
    });
  }

  static void finish(void *memory, float *out, int64_t outStride, float *lse, float *maxLogit) {
    constexpr float ln2 = 0x1.62e430p-1f;
    const View state(memory);
    for (int row = 0; row < state.rows; row++) {
      const float sum = state.sum[row];
      // Whoever saw a key has a sum of at least 1, or NaN.
      const bool nothing = sum == 0;
      const auto factor = V::broadcast(nothing ? 0 : 1 / sum);
      const float *from = state.out + row * state.valueDim;
      for (int d = 0; d < state.valueDim; d += V::lanes) V::store(out + row * outStride + d, V::load(from + d) * factor);
      lse[row] = nothing ? __builtin_inff() : state.max[row] * ln2 + __builtin_logf(sum);
      if (maxLogit != nullptr) maxLogit[row] = nothing ? -__builtin_inff() : state.max[row] * ln2;
    }
  }

private:
  using Floats = typename V::Floats;
  static constexpr int BLOCK_ROWS = V::rowVectors * V::lanes;
  static constexpr int VALUE_ROWS = 6; // that share a load of values, at most

  /** Keys that a few rows take at a time: of 576 dims they nearly fill a first-level cache of 48 KiB. */
  template <class Keys> static constexpr int groupKeys = 64 / Keys::bytes;

  static constexpr int SCORE_NUMBERS = V::accumulators / QUAD * SCORE_DIMS;
  static constexpr int VALUE_NUMBERS = TILE_KEYS * VALUE_VECTORS * V::lanes;
  static constexpr int CONVERTED = SCORE_NUMBERS > VALUE_NUMBERS ? SCORE_NUMBERS : VALUE_NUMBERS;

  struct Shape {
    int rows, headDim, valueDim;
    Compute compute;
  };

  /** Where things lie in the memory of a state, which begins with its shape. */
  struct View : Shape {
    int paddedRows; // whole vectors
    float *max;     // [paddedRows], in powers of two
    float *sum;     // [paddedRows]
    float *rescale; // [BLOCK_ROWS], what the old sums are multiplied with
    float *scores;  // [TILE_KEYS][rows of a block], then the weights
    float *queries; // times the scale; per vector of rows [headDim · lanes], see queryPlace; a few rows: [rows][headDim]
    float *out;     // [rows][valueDim]
    float *converted; // what of keys is in use, in f32; none for a few rows
    size_t bytes = 64;

    explicit View(void *memory) : View(memory, *static_cast<const Shape *>(memory)) {}
    View(void *memory, const Shape &shape) : Shape(shape) {
      const auto take = [&](size_t floats) {
        const auto place = reinterpret_cast<float *>(reinterpret_cast<uintptr_t>(memory) + bytes);
        bytes += (floats * sizeof(float) + 63) / 64 * 64;
        return place;
      };
      paddedRows = (this->rows + V::lanes - 1) / V::lanes * V::lanes;
      max = take(paddedRows);
      sum = take(paddedRows);
      rescale = take(BLOCK_ROWS);
      scores = take(TILE_KEYS * BLOCK_ROWS);
      queries = take(size_t(paddedRows) * this->headDim);
      out = take(size_t(this->rows) * this->valueDim);
      converted = take(few() || this->compute == Compute::F32 ? 0 : CONVERTED);
    }

    bool few() const { return this->rows <= V::fewRows; }
  };

  static void packQueries(const View &state, const Queries &queries) {
    const int dims = state.headDim;
    const float factor = queries.scale * 0x1.715476p+0f;
    std::memset(state.queries, 0, sizeof(float) * state.paddedRows * dims);
    for (int row = 0; row < state.rows; row++) {
      const int lane = state.few() ? 0 : row % V::lanes;
      float *to = state.queries + (row - lane) * dims;
      constexpr int part = 16;
      const size_t size = queries.dtype == PMLA_F32 ? 4 : queries.dtype == PMLA_E4M3 ? 1 : 2;
      for (int d = 0; d < dims; d += part) {
        float numbers[part];
        decodeNumbers<V>(queries.dtype, static_cast<const std::byte *>(queries.rows[row]) + d * size, numbers, part);
        for (int i = 0; i < part; i++) to[state.few() ? d + i : queryPlace<V>(lane, d + i)] = numbers[i] * factor;
      }
    }
  }

  /** All keys of tiles for a few rows, in groups that fit the first-level cache between scores and values. */
  template <class Keys> static void attendFew(const View &state, const KeyTile *tiles, int count, Ahead &ahead) {
    constexpr int group = groupKeys<Keys>;
    for (int i = 0; i < count; i++) {
      for (int begin = 0; begin < tiles[i].count; begin += group) {
        const int size = tiles[i].count - begin < group ? tiles[i].count - begin : group;
        const KeyTile part = {tiles[i].keys + begin * tiles[i].stride, tiles[i].stride, size, tiles[i].visible,
                              nullptr};
        ahead.grant(size);
        withConstant<V::fewRows>(state.rows, [&](auto rows) {
          fewRowsScoreTile<V, Keys, rows.value>(state.queries, part.keys, part.stride, size, state.headDim, ahead,
                                                state.scores);
        });
        weigh(state, part, begin, 0, V::lanes);
        const WeightedValues values = {state.scores, V::lanes, part.keys, part.stride, size, &ahead, nullptr, nullptr};
        addValues<V, Keys, true, V::fewRows>(values, state.rows, state.rescale, state.out, state.valueDim);
      }
    }
  }

  /** All keys of a tile for one block of rows after the other. */
  template <class Keys> static void attendMany(const View &state, const KeyTile &tile, const KeyTile &nextTile) {
    const int64_t products = state.paddedRows / V::lanes * state.headDim + state.rows * state.valueDim / V::lanes;
    NextTile next(nextTile, state.headDim * Keys::bytes, products * tile.count);
    for (int row = 0; row < state.rows; row += BLOCK_ROWS) {
      const int rows = state.rows - row < BLOCK_ROWS ? state.rows - row : BLOCK_ROWS;
      const int width = (rows + V::lanes - 1) / V::lanes * V::lanes;
      scoreTile<V, Keys>(state.queries + row * state.headDim, tile.keys, tile.stride, tile.count, state.headDim, next,
                         state.converted, state.scores, width);
      weigh(state, tile, 0, row, width);
      const WeightedValues values = {state.scores, width,  tile.keys, tile.stride,
                                     tile.count, nullptr, &next, state.converted};
      float *out = state.out + row * state.valueDim;
      addValues<V, Keys, false, VALUE_ROWS>(values, rows, state.rescale, out, state.valueDim);
    }
  }

  /** Turns the scores of the rows from `row` on into weights; `begin`: where the keys are in the tile of the masks. */
  static void weigh(const View &state, const KeyTile &tile, int begin, int row, int width) {
    const int rows = state.rows - row < width ? state.rows - row : width;
    if (tile.visible != nullptr) hide(tile.visible + row, begin, rows, tile.count, state.scores, width);
    for (int r = 0; r < width; r += V::lanes) {
      softmax(state.scores + r, width, tile.count, state.max + row + r, state.sum + row + r, state.rescale + r);
    }
  }

  /** Scores of keys that a row does not see become −∞; bit `begin` is that of the first key. */
  static void hide(const uint64_t *visible, int begin, int rows, int count, float *scores, int width) {
    const uint64_t present = ~uint64_t{0} >> (64 - count);
    for (int row = 0; row < rows; row++) {
      for (uint64_t hidden = present & ~(visible[row] >> begin); hidden != 0; hidden &= hidden - 1) {
        scores[__builtin_ctzll(hidden) * width + row] = -__builtin_inff();
      }
    }
  }

  /** Turns the scores of a vector of rows into weights, and says by what older sums are to be multiplied. */
  static void softmax(float *scores, int width, int count, float *rowMax, float *rowSum, float *rescale) {
    const Floats before = V::load(rowMax);
    Floats max = before;
    for (int key = 0; key < count; key++) max = V::max(max, V::load(scores + key * width));
    // −∞ − −∞ would be NaN.
    const Floats base = V::max(V::broadcast(-__FLT_MAX__), max);
    const Floats factor = exp2<V>(before - base);
    Floats sum = V::load(rowSum) * factor;
    for (int key = 0; key < count; key++) {
      const Floats weight = exp2<V>(V::load(scores + key * width) - base);
      V::store(scores + key * width, weight);
      sum += weight;
    }
    V::store(rowMax, max);
    V::store(rowSum, sum);
    V::store(rescale, factor);
  }
};

} // namespace
} // namespace polymla::cpu
