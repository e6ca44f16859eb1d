#pragma once

#include "intrinsics.h"

#include <cmath>

#include "../blocks.h"
#include "../convert.h"
#include "../exp2.h"
#include "../isa.h"
#include "../tile-after.h"
#include "ahead-lines.h"
#include "few-rows-state.h"
#include "fold.h"
#include "key-groups.h"
#include "part-weights.h"
#include "vec-avx512.h"

namespace polymla::cpu {
namespace {

/**
 * Attention of a few rows to keys of a type. Memory is to bound it, and must never wait for it: so keys are taken in
 * small groups, and the scores of a group are computed beside the products with the values of the group before,
 * which are in the first-level cache still.
 */
template <class Keys, int rows> class FewRows {
public:
  explicit FewRows(const FewRowsState &state) : state(state) {}

  void begin(const Queries &queries) const {
    std::memset(state.queries, 0, sizeof(float) * state.lines * rows * LINE);
    std::memset(state.out, 0, sizeof(float) * state.valueLines * rows * LINE);
    std::memset(state.products, 0, sizeof(float) * LANES * 16);
    for (int i = 0; i < LANES; i++) {
      state.base[i] = state.sum[i] = 0;
      state.limit[i] = state.maximum[i] = -INFINITY;
    }
    const float factor = queries.scale * 0x1.715476p+0f * Keys::scale; // log2(e)
    const size_t size = queries.dtype == PMLA_F32 ? 4 : queries.dtype == PMLA_E4M3 ? 1 : 2;
    for (int row = 0; row < rows; row++) {
      const auto *from = static_cast<const std::byte *>(queries.rows[row]);
      for (int d = 0; d < state.headDim; d += 16) {
        float numbers[16];
        decodeNumbers<Avx512Vec>(queries.dtype, from + d * size, numbers, 16);
        for (int i = 0; i < 16; i++) *at(state.queries, row, d + i) = numbers[i] * factor;
      }
    }
  }

  void attend(const KeyTile *tiles, int count, const KeyTile *next) {
    if constexpr (Keys::wholeTiles) {
      for (int i = 0; i < count; i++) takeTile(tiles[i], tileAfter(tiles, count, i, next));
    } else {
      takeInGroups<GROUP>(*this, tiles, count, next);
    }
  }

  void finish(float *out, int64_t outStride, float *lse, float *maxLogit) const {
    constexpr double ln2 = 0.6931471805599453;
    for (int row = 0; row < rows; row++) {
      float sum = 0, maximum = -INFINITY;
      for (int i = row * GROUP; i < (row + 1) * GROUP; i++) {
        sum += state.sum[i];
        maximum = std::fmax(maximum, state.maximum[i]);
      }
      const bool nothing = sum == 0; // the largest weight is at least 2^−8
      const double log2 = static_cast<double>(state.base[row * GROUP]) + std::log2(static_cast<double>(sum));
      lse[row] = nothing ? INFINITY : static_cast<float>(log2 * ln2);
      if (maxLogit != nullptr) maxLogit[row] = static_cast<float>(maximum * ln2);
      const float factor = nothing ? 0 : Keys::scale / sum;
      for (int d = 0; d < state.valueDim; d++) out[row * outStride + d] = *at(state.out, row, d) * factor;
    }
  }

private:
  static constexpr int GROUP = Keys::group;
  static constexpr int VECTORS = (rows * GROUP + 15) / 16;
  static constexpr int LANES = VECTORS * 16;
  static constexpr int FETCHED = Keys::lineBytes / 64; // cache lines of the next tile for each step, of whole tiles
  static constexpr int BLOCK = rows > 4 ? 1 : 2; // lines of values whose sums fit in registers
  using Group = KeyGroup<GROUP>;
  friend void takeInGroups<GROUP, FewRows>(FewRows &, const KeyTile *, int, const KeyTile *);

  std::byte *stagedKey(int key) const {
    return reinterpret_cast<std::byte *>(state.staged[slot] + key * state.lines * LINE);
  }

  static float *at(float *array, int row, int d) {
    const int position = Keys::position(d);
    return array + (position / LINE * rows + row) * LINE + position % LINE;
  }

  /** Parts of a tile: scores, then outputs, a block of columns after the other, whose sums stay in registers over all keys. */
  void takeTile(const KeyTile &tile, const KeyTile &next) const {
    constexpr int keys = rows <= 4 ? 2 : 1; // scored together
    const int blocks = ceilDiv(state.valueLines, BLOCK);
    const int64_t steps = int64_t{ceilDiv(tile.count, keys)} * state.lines + int64_t{tile.count} * blocks;
    AheadLines ahead(tile, next, state.headDim * Keys::lineBytes / LINE, FETCHED, steps, blocks * ceilDiv(tile.count, PART_KEYS));
    const auto rescale = [&](int row, float factor) { rescaleRow(row, factor); };
    for (int begin = 0; begin < tile.count; begin += PART_KEYS) {
      const int end = begin + PART_KEYS < tile.count ? begin + PART_KEYS : tile.count;
      ahead.begin(begin);
      for (int key = begin; key < end; key += keys) {
        if (key + keys <= end) scoreInPlace<keys>(tile, key, ahead);
        else scoreInPlace<1>(tile, key, ahead);
      }
      for (int r = 0; r < rows; r++) _mm512_store_ps(state.logits + r * TILE_KEYS + begin, sumsOf(state.products + r * 256));
      weighPart<rows>(state, tile, begin, 1, rescale, [&](int row, __m512 weights) {
        _mm512_store_ps(state.logits + row * TILE_KEYS + begin, weights);
      });
      for (int line = 0; line < state.valueLines; line += BLOCK) {
        ahead.rest();
        if ((line + BLOCK) * LINE <= state.headDim && line + BLOCK <= state.valueLines) {
          addPart<BLOCK, true>(tile, begin, end, line, ahead);
        } else {
          for (int one = line; one < line + BLOCK && one < state.valueLines; one++) addPart<1, false>(tile, begin, end, one, ahead);
        }
      }
    }
  }

  template <int keys> void scoreInPlace(const KeyTile &tile, int key, AheadLines &ahead) const {
    const std::byte *at = tile.keys + key * tile.stride;
    const int whole = state.headDim / LINE;
    __m512 sums[keys][rows][2];
#pragma GCC unroll 32
    for (int i = 0; i < keys * rows * 2; i++) (&sums[0][0][0])[i] = _mm512_setzero_ps();
    AheadLines::Steps fetch = ahead.steps;
    const auto take = [&](int line, bool isWhole) __attribute__((always_inline)) {
      Line numbers[keys];
#pragma GCC unroll 2
      for (int k = 0; k < keys; k++) numbers[k] = Keys::load(at + k * tile.stride, line, isWhole);
      fetch.template fetch<FETCHED>();
      const float *q = state.queries + line * rows * LINE;
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        __m512 first = _mm512_load_ps(q + r * LINE), last = _mm512_load_ps(q + r * LINE + 16);
        // GCC loads once more for each product.
        asm("" : "+v"(first), "+v"(last));
#pragma GCC unroll 2
        for (int k = 0; k < keys; k++) {
          sums[k][r][0] = _mm512_fmadd_ps(numbers[k].first, first, sums[k][r][0]);
          sums[k][r][1] = _mm512_fmadd_ps(numbers[k].last, last, sums[k][r][1]);
        }
      }
    };
    for (int line = 0; line < whole; line++) take(line, true);
    if (whole < state.lines) take(whole, false);
    ahead.steps = fetch;
#pragma GCC unroll 2
    for (int k = 0; k < keys; k++) {
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        _mm512_store_ps(state.products + r * 256 + (key + k) % 16 * 16, _mm512_add_ps(sums[k][r][0], sums[k][r][1]));
      }
    }
  }

  /** Adds weights × values of keys of a tile to lines of all rows' outputs. */
  template <int lines, bool whole> void addPart(const KeyTile &tile, int begin, int end, int line, AheadLines &ahead) const {
    float *out = state.out + line * rows * LINE;
    const bool isWhole = whole || (line + 1) * LINE <= state.headDim;
    __m512 sums[lines][rows][2];
#pragma GCC unroll 32
    for (int i = 0; i < lines * rows * 2; i++) (&sums[0][0][0])[i] = _mm512_load_ps(out + i * 16);
    const std::byte *at = tile.keys + begin * tile.stride;
    AheadLines::Steps fetch = ahead.steps;
    for (int k = begin; k < end; k++, at += tile.stride) {
      fetch.template fetch<FETCHED>();
      __m512 weights[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) weights[r] = _mm512_set1_ps(state.logits[r * TILE_KEYS + k]);
#pragma GCC unroll 2
      for (int l = 0; l < lines; l++) {
        const Line value = Keys::load(at, line + l, isWhole);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
          sums[l][r][0] = _mm512_fmadd_ps(weights[r], value.first, sums[l][r][0]);
          sums[l][r][1] = _mm512_fmadd_ps(weights[r], value.last, sums[l][r][1]);
        }
      }
    }
    ahead.steps = fetch;
#pragma GCC unroll 32
    for (int i = 0; i < lines * rows * 2; i++) _mm512_store_ps(out + i * 16, (&sums[0][0][0])[i]);
  }

  void rescaleRow(int row, float factor) const {
    for (int line = 0; line < state.valueLines; line++) {
      for (int i = 0; i < LINE; i++) state.out[(line * rows + row) * LINE + i] *= factor;
    }
  }

  /** Scores of one group beside products with the values of another; either may be empty. */
  void pass(const Group &next, const Group &held) const {
    const int blocks = (state.valueLines + BLOCK - 1) / BLOCK;
    const int share = (blocks + GROUP - 1) / GROUP * BLOCK;
    int line = 0;
    for (int key = 0; key < GROUP; key++) {
      if (key < next.count) scoreKey(next, key);
      if (held.count == 0) continue;
      const int end = line + share < state.valueLines ? line + share : state.valueLines;
      for (; line + BLOCK <= end; line += BLOCK) addValues<BLOCK>(held, line);
      if (BLOCK > 1 && line < end) addValues<1>(held, line++);
    }
  }

  /** What a line of numbers takes, to the second-level cache. Inlined: GCC drops calls of a function that only fetches. */
  [[gnu::always_inline]] static void fetch(const std::byte *key, int line) {
    if (Keys::lineBytes < 64 && line % 2 != 0) return;
    for (int byte = 0; byte < Keys::lineBytes; byte += 64) {
      _mm_prefetch(reinterpret_cast<const char *>(key + line * Keys::lineBytes + byte), _MM_HINT_T1);
    }
  }

  /** Sums over lanes are left to `weigh`. */
  void scoreKey(const Group &group, int key) const {
    const float *queries = state.queries;
    float *staged = Keys::staged ? reinterpret_cast<float *>(stagedKey(key)) : nullptr;
    __m512 first[rows], last[rows];
    for (int r = 0; r < rows; r++) first[r] = last[r] = _mm512_setzero_ps();
    Keys::forLines(group.keys[key], group.scales[key], state.headDim, [&](int line, Line numbers) {
      fetch(group.ahead[key], line);
      const float *q = queries + line * rows * LINE;
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        first[r] = _mm512_fmadd_ps(numbers.first, _mm512_load_ps(q + r * LINE), first[r]);
        last[r] = _mm512_fmadd_ps(numbers.last, _mm512_load_ps(q + r * LINE + 16), last[r]);
      }
      if constexpr (Keys::staged) {
        _mm512_store_ps(staged + line * LINE, numbers.first);
        _mm512_store_ps(staged + line * LINE + 16, numbers.last);
      }
    });
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      _mm512_store_ps(state.products + (r * GROUP + key) * 16, _mm512_add_ps(first[r], last[r]));
    }
  }

  /** Adds weights × values to lines of all rows' outputs. */
  template <int lines> void addValues(const Group &group, int line) const {
    const bool whole = Keys::staged || (line + lines) * LINE <= state.valueDim;
    if (whole) {
      addLines<lines, true>(group, line);
    } else {
      addLines<lines, false>(group, line);
    }
  }

  /** @param whole whether the last of the lines is */
  template <int lines, bool whole> void addLines(const Group &group, int line) const {
    using Values = typename Keys::Values;
    float *out = state.out + line * rows * LINE;
    __m512 sums[lines * rows * 2];
#pragma GCC unroll 32
    for (int i = 0; i < lines * rows * 2; i++) sums[i] = _mm512_load_ps(out + i * 16);
    for (int k = 0; k < group.count; k++) {
      __m512 weights[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) weights[r] = _mm512_set1_ps(state.weights[r * GROUP + k]);
#pragma GCC unroll 2
      for (int l = 0; l < lines; l++) {
        const Line value = Values::load(group.keys[k], line + l, whole || l + 1 < lines);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
          __m512 *sum = sums + (l * rows + r) * 2;
          sum[0] = _mm512_fmadd_ps(weights[r], value.first, sum[0]);
          sum[1] = _mm512_fmadd_ps(weights[r], value.last, sum[1]);
        }
      }
    }
#pragma GCC unroll 32
    for (int i = 0; i < lines * rows * 2; i++) _mm512_store_ps(out + i * 16, sums[i]);
  }

  /** Turns the products of a group into weights. */
  void weigh(const Group &group, const uint64_t *visible) const {
    uint64_t seen = 0;
    for (int r = 0; r < rows; r++) {
      uint64_t bits = (1u << group.count) - 1;
      if (visible != nullptr) {
        for (int k = 0; k < group.count; k++) bits &= ~((~visible[r] >> group.index[k] & 1) << k);
      }
      seen |= bits << r * GROUP;
    }
    __m512 logits[VECTORS];
    bool raise = false;
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      const __mmask16 present = static_cast<__mmask16>(seen >> v * 16);
      logits[v] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), present, sumsOf(state.products + v * 256));
      // Of two numbers of which one is NaN this is the second.
      _mm512_store_ps(state.maximum + v * 16, _mm512_max_ps(logits[v], _mm512_load_ps(state.maximum + v * 16)));
      raise |= _mm512_cmp_ps_mask(logits[v], _mm512_load_ps(state.limit + v * 16), _CMP_GT_OQ) != 0;
    }
    if (raise) [[unlikely]] {
      raiseBases<GROUP>(state, [&](int row, float factor) { rescaleRow(row, factor); });
    }
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      const __m512 weight = exp2<Avx512Vec>(_mm512_sub_ps(logits[v], _mm512_load_ps(state.base + v * 16)));
      _mm512_store_ps(state.weights + v * 16, weight);
      _mm512_store_ps(state.sum + v * 16, _mm512_add_ps(weight, _mm512_load_ps(state.sum + v * 16)));
    }
  }

  /** The group that was scored last has the values of the next pass. */
  void hold(Group &group) {
    if constexpr (Keys::staged) {
      for (int k = 0; k < group.count; k++) group.keys[k] = stagedKey(k);
      slot ^= 1;
    }
  }

  const FewRowsState &state;
  int slot = 0; // of the two groups of staged keys, the one to fill
};

/** Calls `f` with the attention of a state. */
template <class F> inline void withFewRows(const FewRowsState &state, F f) {
  withFewKeys(state.compute, [&](auto keys) {
    withConstant<FEW_ROWS>(state.rows, [&](auto rows) { f(FewRows<decltype(keys), rows.value>(state)); });
  });
}

} // namespace
} // namespace polymla::cpu
