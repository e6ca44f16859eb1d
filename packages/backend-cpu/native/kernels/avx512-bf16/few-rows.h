#pragma once

#include "../avx512/intrinsics.h"

#include <cmath>
#include <cstring>

#include "../avx512/ahead-lines.h"
#include "../avx512/fold.h"
#include "../avx512/part-weights.h"
#include "../blocks.h"
#include "../isa.h"
#include "../tile-after.h"
#include "few-rows-state.h"
#include "queries.h"

namespace polymla::cpu {
namespace {

/**
 * Attention of a few rows to keys of a type, in products of bf16 pairs: pairs of dims make scores, pairs of keys outputs.
 * Scores of a part of a tile come first, then its outputs, a line of columns after the other, whose sums stay in registers over
 * all its keys. Both read keys as they lie in the cache; the next tile is fetched meanwhile. Scales of groups of numbers go to the
 * sums of scores, and for outputs to the weights, before these are rounded.
 */
template <class Keys, int rows> class FewPairs {
public:
  explicit FewPairs(const FewPairsState &state) : state(state) {}

  void begin(const Queries &queries) const {
    std::memset(state.queries, 0, sizeof(uint16_t) * static_cast<size_t>(state.lines * rows * PAIR_LINE));
    std::memset(state.out, 0, sizeof(float) * static_cast<size_t>(state.valueLines * rows * PAIR_LINE));
    std::memset(state.products, 0, sizeof(float) * rows * 256);
    if constexpr (SCALED) {
      const int groups = std::max(state.scaleGroups, GROUPS);
      for (int i = 0; i < groups * TILE_KEYS; i++) state.scales[i] = 1;
    }
    for (int i = 0; i < (Keys::exactScales ? 1 : state.scaleGroups) * rows * 16; i++) state.roundedSum[i] = 0;
    for (int i = 0; i < rows * 16; i++) {
      state.base[i] = state.sum[i] = 0;
      state.limit[i] = state.maximum[i] = -INFINITY;
    }
    for (int row = 0; row < rows; row++) {
      for (int d = 0; d < state.headDim; d += PAIR_HALF) {
        alignas(64) uint16_t numbers[PAIR_HALF];
        _mm512_store_si512(numbers, queryPairs(queries.rows[row], queries.dtype, d, state.headDim));
        for (int i = 0; i < PAIR_HALF && d + i < state.headDim; i++) {
          const int position = Keys::position(d + i);
          state.queries[(position / PAIR_LINE * rows + row) * PAIR_LINE + position % PAIR_LINE] = numbers[i];
        }
      }
    }
  }

  void attend(const KeyTile *tiles, int count, const KeyTile *next) const {
    for (int i = 0; i < count; i++) {
      const KeyTile &after = tileAfter(tiles, count, i, next);
      const int blocks = state.valueLines * ceilDiv(tiles[i].count, PART_KEYS);
      AheadLines ahead(tiles[i], after, Keys::keyBytes(state.headDim), FETCHED, steps(tiles[i]), blocks);
      take(tiles[i], after, ahead);
    }
  }

  void finish(float *out, int64_t outStride, float *lse, float *maxLogit) const {
    constexpr double ln2 = 0.6931471805599453;
    for (int row = 0; row < rows; row++) {
      float maximum = -INFINITY;
      for (int i = row * 16; i < (row + 1) * 16; i++) maximum = std::fmax(maximum, state.maximum[i]);
      const float sum = sumOf(state.sum + row * 16);
      const bool nothing = sum == 0; // the largest weight is at least 2^−RAISE_ABOVE
      const double log2 = static_cast<double>(state.base[row * 16]) + std::log2(static_cast<double>(sum));
      lse[row] = nothing ? INFINITY : static_cast<float>(log2 * ln2);
      if (maxLogit != nullptr) maxLogit[row] = static_cast<float>(maximum * ln2);
      float factor = 0;
      for (int d = 0; d < state.valueDim; d++) {
        if (!nothing && (d == 0 || (!Keys::exactScales && d % Keys::scaleGroup == 0))) {
          const int group = d == 0 ? 0 : d / Keys::scaleGroup;
          factor = 1 / sumOf(state.roundedSum + (group * rows + row) * 16);
        }
        out[row * outStride + d] = *outAt(row, d) * factor;
      }
    }
  }

private:
  static constexpr bool SCALED = Keys::scaleGroup != 0;
  static constexpr int GROUPS = [] {
    if constexpr (SCALED) return Keys::codes / Keys::scaleGroup;
    else return 1;
  }();
  static constexpr int TILE_PAIRS = TILE_KEYS / 2;
  /** Bytes of the scales of a key, where they are apart. */
  static constexpr int SCALES = 8;
  /** Keys that are scored together. */
  static constexpr int KEYS = rows <= 4 ? 2 : 1;
  /** Of a key and row: the processor adds to one no faster than every sixth cycle. */
  static constexpr int SUMS = KEYS * rows >= 4 ? 1 : 2;
  /** Halves of a line of columns whose sums fit in registers. */
  static constexpr int HALVES = rows <= 4 ? 2 : 1;
  /** Lines of the next tile for each step of this one. */
  static constexpr int FETCHED = SCALED || Keys::codeBytes == 1 || rows > 4 ? 1 : 2;

  static __m512bh pairs(__m512i numbers) { return reinterpret_cast<__m512bh>(numbers); }

  static float sumOf(const float *lanes) {
    float sum = 0;
    for (int i = 0; i < 16; i++) sum += lanes[i];
    return sum;
  }

  /** Interleaving two vectors of keys leaves columns 0–3, 8–11, … in the first one, the others in the second one. */
  float *outAt(int row, int d) const {
    const int position = Keys::position(d), at = position % PAIR_HALF;
    return state.out + ((position / PAIR_HALF * rows + row) * 2 + at % 8 / 4) * 16 + at / 8 * 4 + at % 4;
  }

  /** Lines of one key or of a pair that a tile's loops work on. */
  int64_t steps(const KeyTile &tile) const {
    const int pairs = ceilDiv(tile.count, 2);
    return static_cast<int64_t>(ceilDiv(tile.count, KEYS)) * state.lines + static_cast<int64_t>(pairs) * state.valueLines * (2 / HALVES);
  }

  void take(const KeyTile &tile, const KeyTile &next, AheadLines &ahead) const {
    for (int begin = 0; begin < tile.count; begin += PART_KEYS) {
      ahead.begin(begin);
      KeyTile part = tile;
      part.keys += begin * tile.stride;
      part.count = std::min(tile.count - begin, PART_KEYS);
      if constexpr (SCALED) {
        if (tile.scales != nullptr) {
          part.scales += begin * SCALES;
          for (int byte = 0; byte < next.count * SCALES; byte += 64) __builtin_prefetch(next.scales + byte, 0, 2);
        }
        if (!Keys::readScales(part, state.scales + begin)) [[unlikely]] {
          takeDecoded(tile, part, begin, ahead);
          continue;
        }
      }
      takePart(Keys(), tile, part, begin, ahead);
    }
  }

  /** @param part of the tile, from key `begin` on, as `source` reads them */
  template <class Source>
  void takePart(const Source &source, const KeyTile &tile, const KeyTile &part, int begin, AheadLines &ahead) const {
    for (int key = 0; key < part.count; key += KEYS) {
      if (key + KEYS <= part.count) score<KEYS>(source, part, key, state.scales + begin + key, ahead);
      else score<1>(source, part, key, state.scales + begin + key, ahead);
    }
    for (int row = 0; row < rows; row++) {
      _mm512_store_ps(state.logits + row * TILE_KEYS + begin, sumsOf(state.products + row * 256));
    }
    weigh(tile, begin);
    for (int line = 0; line < state.valueLines; line++) {
      const uint64_t *weights = state.weights + begin / 2;
      if constexpr (SCALED) weights += line / (Keys::scaleGroup / PAIR_LINE) * rows * TILE_PAIRS;
      if ((line + 1) * PAIR_LINE <= state.headDim) addLine<true>(source, part, line, weights, ahead);
      else addLine<false>(source, part, line, weights, ahead);
    }
  }

  /** A part with scales that are not usual: its keys are decoded first, those numbers with their scales. */
  [[gnu::noinline]] void takeDecoded(const KeyTile &tile, const KeyTile &part, int begin, AheadLines &ahead) const {
    if constexpr (SCALED) {
      constexpr int lines = Keys::codes / PAIR_LINE + 1;
      alignas(64) uint16_t decoded[PART_KEYS * lines * PAIR_LINE];
      const Keys keys;
      float *scales = state.scales + begin;
      for (int k = 0; k < part.count; k++) {
        const std::byte *key = part.keys + k * part.stride;
        uint16_t *to = decoded + k * lines * PAIR_LINE;
        alignas(64) uint16_t natural[Keys::codes];
        for (int g = 0; g < GROUPS; g++) {
          float &scale = scales[g * TILE_KEYS + k];
          const bool isUsual = std::fabs(scale) > SMALLEST_USUAL && std::fabs(scale) < LARGEST_USUAL;
          decodeScaled(keys.e4m3.decoder, key + g * Keys::scaleGroup, Keys::scaleGroup, isUsual ? 1 : scale,
                       reinterpret_cast<std::byte *>(natural + g * Keys::scaleGroup));
          if (!isUsual) scale = 1;
        }
        for (int d = 0; d < Keys::codes; d++) to[Keys::position(d)] = natural[d];
        __m512i low, high;
        keys.template load<false>(key, lines - 1, state.headDim, low, high);
        _mm512_store_si512(to + Keys::codes, low);
        _mm512_store_si512(to + Keys::codes + PAIR_HALF, high);
      }
      for (int g = 0; g < GROUPS; g++) {
        for (int k = part.count; k < PART_KEYS; k++) scales[g * TILE_KEYS + k] = 1;
      }
      KeyTile bf16 = part;
      bf16.keys = reinterpret_cast<const std::byte *>(decoded);
      bf16.stride = lines * PAIR_LINE * 2;
      takePart(PairsOfDecoded<Keys>(), tile, bf16, begin, ahead);
    }
  }

  /** Sums of one key after another. */
  template <int count> struct Sums {
    __m512 of[count][rows][SUMS];
    [[gnu::always_inline]] void clear() {
#pragma GCC unroll 32
      for (int i = 0; i < count * rows * SUMS; i++) (&of[0][0][0])[i] = _mm512_setzero_ps();
    }
    [[gnu::always_inline]] __m512 total(int key, int row) const {
      return SUMS == 1 ? of[key][row][0] : _mm512_add_ps(of[key][row][0], of[key][row][SUMS - 1]);
    }
  };

  /** Of `count` keys from `key` on; `scales`: of the first one, [groups][TILE_KEYS]. Sums over lanes are left to `sumsOf`. */
  template <int count, class Source>
  [[gnu::always_inline]] void score(const Source &given, const KeyTile &tile, int key, const float *scales, AheadLines &ahead) const {
    Source source = given;
    source.hold();
    const std::byte *keys = tile.keys + key * tile.stride;
    const int whole = state.headDim / PAIR_LINE;
    AheadLines::Steps fetch = ahead.steps;
    Sums<count> sums;
    sums.clear();
    float *products = state.products + key * 16;
    if constexpr (SCALED) {
      Sums<count> scaled;
      scaled.clear();
      constexpr int lines = Keys::scaleGroup / PAIR_LINE;
      for (int g = 0; g < GROUPS; g++) {
#pragma GCC unroll 2
        for (int line = 0; line < lines; line++) scoreLine<count, true>(source, keys, tile.stride, g * lines + line, sums, fetch);
#pragma GCC unroll 4
        for (int k = 0; k < count; k++) {
          const __m512 by = _mm512_set1_ps(scales[g * TILE_KEYS + k]);
#pragma GCC unroll 8
          for (int r = 0; r < rows; r++) scaled.of[k][r][0] = _mm512_fmadd_ps(sums.total(k, r), by, scaled.of[k][r][0]);
        }
        sums.clear();
      }
      if (state.headDim > Keys::codes) scoreLine<count, false>(source, keys, tile.stride, GROUPS * lines, sums, fetch);
#pragma GCC unroll 4
      for (int k = 0; k < count; k++) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
          _mm512_store_ps(products + r * 256 + k * 16, _mm512_add_ps(sums.total(k, r), scaled.of[k][r][0]));
        }
      }
    } else {
      for (int line = 0; line < whole; line++) scoreLine<count, true>(source, keys, tile.stride, line, sums, fetch);
      if (whole < state.lines) scoreLine<count, false>(source, keys, tile.stride, whole, sums, fetch);
#pragma GCC unroll 4
      for (int k = 0; k < count; k++) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) _mm512_store_ps(products + r * 256 + k * 16, sums.total(k, r));
      }
    }
    ahead.steps = fetch;
  }

  template <int count, bool whole, class Source>
  [[gnu::always_inline]] void scoreLine(const Source &source, const std::byte *keys, int64_t stride, int line, Sums<count> &sums,
                                        AheadLines::Steps &fetch) const {
    __m512i low[count], high[count];
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) source.template load<whole>(keys + k * stride, line, state.headDim, low[k], high[k]);
    fetch.template fetch<FETCHED>();
    const uint16_t *q = state.queries + line * rows * PAIR_LINE;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      __m512i first = _mm512_load_si512(q + r * PAIR_LINE), last = _mm512_load_si512(q + r * PAIR_LINE + PAIR_HALF);
      // GCC loads once more for each product.
      asm("" : "+v"(first), "+v"(last));
#pragma GCC unroll 4
      for (int k = 0; k < count; k++) {
        auto &sum = sums.of[k][r];
        sum[0] = _mm512_dpbf16_ps(sum[0], pairs(low[k]), pairs(first));
        sum[SUMS - 1] = _mm512_dpbf16_ps(sum[SUMS - 1], pairs(high[k]), pairs(last));
      }
    }
  }

  /** Adds weights × values to a line of all rows' outputs. */
  template <bool whole, class Source>
  void addLine(const Source &source, const KeyTile &tile, int line, const uint64_t *weights, AheadLines &ahead) const {
    float *out = state.out + line * rows * PAIR_LINE;
    ahead.rest();
    if constexpr (HALVES == 2) {
      addHalves<whole, 0, 2>(source, tile, line, weights, out, ahead);
    } else {
      addHalves<whole, 0, 1>(source, tile, line, weights, out, ahead);
      addHalves<whole, 1, 1>(source, tile, line, weights, out + rows * PAIR_HALF, ahead);
    }
  }

  template <bool whole, int from, int halves, class Source>
  void addHalves(const Source &given, const KeyTile &tile, int line, const uint64_t *weights, float *out, AheadLines &ahead) const {
    Source source = given;
    source.hold();
    __m512 sums[halves][rows][2];
#pragma GCC unroll 32
    for (int i = 0; i < halves * rows * 2; i++) (&sums[0][0][0])[i] = _mm512_load_ps(out + i * 16);
    AheadLines::Steps fetch = ahead.steps;
    const std::byte *even = tile.keys;
    for (int left = tile.count; left > 0; left -= 2, even += 2 * tile.stride, weights++) {
      // A key without a partner has one of weight 0.
      const std::byte *odd = left == 1 ? even : even + tile.stride;
      fetch.template fetch<FETCHED>();
      __m512i low[halves], high[halves];
      source.template pairs<whole, from>(even, odd, line, state.headDim, low[0], high[0]);
      if constexpr (halves == 2) source.template pairs<whole, 1>(even, odd, line, state.headDim, low[1], high[1]);
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        const __m512bh weight = pairs(_mm512_set1_epi32(static_cast<int>(weights[r * TILE_PAIRS])));
#pragma GCC unroll 2
        for (int h = 0; h < halves; h++) {
          sums[h][r][0] = _mm512_dpbf16_ps(sums[h][r][0], weight, pairs(low[h]));
          sums[h][r][1] = _mm512_dpbf16_ps(sums[h][r][1], weight, pairs(high[h]));
        }
      }
    }
    ahead.steps = fetch;
#pragma GCC unroll 32
    for (int i = 0; i < halves * rows * 2; i++) _mm512_store_ps(out + i * 16, (&sums[0][0][0])[i]);
  }

  /** Turns the sums of a part into weights. */
  void weigh(const KeyTile &tile, int begin) const {
    const auto rescaleRow = [&](int row, float factor) { rescale(row, factor); };
    weighPart<rows>(state, tile, begin, state.scale, rescaleRow, [&](int row, __m512 weight) {
      if constexpr (Keys::exactScales) {
        const __m512 close = rounded(weight);
        addTo(state.roundedSum + row * 16, close);
        for (int g = 0; g < state.scaleGroups; g++) {
          storePairs(g, row, begin, SCALED ? _mm512_mul_ps(close, _mm512_load_ps(state.scales + g * TILE_KEYS + begin)) : close);
        }
      } else {
        for (int g = 0; g < state.scaleGroups; g++) {
          const __m512 scales = _mm512_load_ps(state.scales + g * TILE_KEYS + begin);
          const __m512 close = rounded(_mm512_mul_ps(weight, scales));
          addTo(state.roundedSum + (g * rows + row) * 16, _mm512_div_ps(close, scales));
          storePairs(g, row, begin, close);
        }
      }
    });
  }

  static void addTo(float *lanes, __m512 numbers) { _mm512_store_ps(lanes, _mm512_add_ps(numbers, _mm512_load_ps(lanes))); }

  /** To bf16, half up. */
  static __m512 rounded(__m512 numbers) {
    const __m512i up = _mm512_add_epi32(_mm512_castps_si512(numbers), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }

  void storePairs(int scaleGroup, int row, int key, __m512 close) const {
    const __m512i bits = _mm512_castps_si512(close);
    const __m512i both = _mm512_or_si512(_mm512_srli_epi64(bits, 32), _mm512_srli_epi32(bits, 16));
    _mm512_store_si512(state.weights + (scaleGroup * rows + row) * TILE_PAIRS + key / 2, both);
  }

  void rescale(int row, float factor) const {
    for (int g = 0; g < (Keys::exactScales ? 1 : state.scaleGroups); g++) {
      for (int i = 0; i < 16; i++) state.roundedSum[(g * rows + row) * 16 + i] *= factor;
    }
    for (int half = 0; half < state.valueLines * 2; half++) {
      for (int i = 0; i < PAIR_HALF; i++) state.out[(half * rows + row) * PAIR_HALF + i] *= factor;
    }
  }

  const FewPairsState &state;
};

/** Calls `f` with the attention of a state. */
template <class F> inline void withFewPairs(const FewPairsState &state, F f) {
  withPairKeys(state.compute, [&](auto keys) {
    withConstant<FEW_ROWS>(state.rows, [&](auto rows) { f(FewPairs<decltype(keys), rows.value>(state)); });
  });
}

} // namespace
} // namespace polymla::cpu
