#pragma once

#include "../avx512/intrinsics.h"

#include <cmath>
#include <cstring>

#include "../avx512/fold.h"
#include "../avx512/key-groups.h"
#include "../avx512/vec-avx512.h"
#include "../blocks.h"
#include "../exp2.h"
#include "../isa.h"
#include "few-rows-state.h"
#include "queries.h"

namespace polymla::cpu {
namespace {

/**
 * As avx512/few-rows.h, in products of bf16 pairs, half as many instructions. Pairs of dims make scores, pairs of keys
 * outputs. Scales of groups of numbers go to the sums of scores, and for outputs to the weights, before these are rounded.
 */
template <class Keys, int rows> class FewPairs {
public:
  explicit FewPairs(const FewPairsState &state) : state(state), tokenLines(Keys::tokenLines(state.headDim)) {}

  void begin(const Queries &queries) const {
    std::memset(state.queries, 0, sizeof(uint16_t) * state.lines * rows * PAIR_LINE);
    std::memset(state.out, 0, sizeof(float) * state.valueHalves * rows * PAIR_HALF);
    std::memset(state.products, 0, sizeof(float) * LANES * 16);
    for (int i = 0; i < state.scaleGroups * 16; i++) state.scales[i] = 1;
    for (int i = 0; i < (Keys::exactScales ? 1 : state.scaleGroups) * LANES; i++) state.roundedSum[i] = 0;
    for (int i = 0; i < LANES; i++) {
      state.base[i] = state.sum[i] = 0;
      state.limit[i] = state.maximum[i] = -INFINITY;
    }
    for (int row = 0; row < rows; row++) {
      for (int d = 0; d < state.headDim; d += 2 * PAIRS) {
        alignas(64) uint16_t numbers[2 * PAIRS];
        _mm512_store_si512(numbers, queryPairs(queries.rows[row], queries.dtype, d, state.headDim));
        for (int i = 0; i < 2 * PAIRS && d + i < state.headDim; i++) {
          const int position = Keys::position(d + i);
          state.queries[(position / PAIR_LINE * rows + row) * PAIR_LINE + position % PAIR_LINE] = numbers[i];
        }
      }
    }
  }

  void attend(const KeyTile *tiles, int count) { takeInGroups<GROUP>(*this, tiles, count); }

  void finish(float *out, int64_t outStride, float *lse, float *maxLogit) const {
    constexpr double ln2 = 0.6931471805599453;
    for (int row = 0; row < rows; row++) {
      float maximum = -INFINITY;
      for (int i = row * GROUP; i < (row + 1) * GROUP; i++) maximum = std::fmax(maximum, state.maximum[i]);
      const float sum = sumOf(state.sum, row);
      const bool nothing = sum == 0; // the largest weight is at least 2^−RAISE_ABOVE
      const double log2 = static_cast<double>(state.base[row * GROUP]) + std::log2(static_cast<double>(sum));
      lse[row] = nothing ? INFINITY : static_cast<float>(log2 * ln2);
      if (maxLogit != nullptr) maxLogit[row] = static_cast<float>(maximum * ln2);
      float factor = 0;
      for (int d = 0; d < state.valueDim; d++) {
        if (!nothing && (d == 0 || (!Keys::exactScales && d % Keys::scaleGroup == 0))) {
          factor = 1 / sumOf(state.roundedSum + (d == 0 ? 0 : d / Keys::scaleGroup * LANES), row);
        }
        out[row * outStride + d] = *outAt(row, d) * factor;
      }
    }
  }

private:
  static constexpr int GROUP = FEW_PAIRS_GROUP;
  static constexpr int VECTORS = (rows * GROUP + 15) / 16;
  static constexpr int LANES = VECTORS * 16;
  static constexpr int PAIRS = 16;                // of a vector of bf16
  static constexpr int BLOCK = rows > 4 ? 1 : 2;  // half lines of values whose sums fit in registers
  static constexpr bool SCALED = Keys::scaleGroup != 0;
  /** Keys that are scored together: two, where that leaves sums enough in registers. */
  static constexpr int KEYS = Keys::staged && (SCALED || rows <= 2) ? 2 : 1;
  static constexpr int FETCHED = Keys::staged ? 1 : 2; // cache lines of a later key for each line of numbers
  static constexpr int SUMS = SCALED && rows > 2 ? 1 : 2; // of a key and row
  using Group = KeyGroup<GROUP>;
  friend void takeInGroups<GROUP, FewPairs>(FewPairs &, const KeyTile *, int);

  static float sumOf(const float *lanes, int row) {
    float sum = 0;
    for (int i = row * GROUP; i < (row + 1) * GROUP; i++) sum += lanes[i];
    return sum;
  }

  /** Interleaving two vectors of keys leaves columns 0–3, 8–11, … in the first one, the others in the second one. */
  float *outAt(int row, int d) const {
    const int position = Keys::position(d), at = position % PAIR_HALF;
    return state.out + ((position / PAIR_HALF * rows + row) * 2 + at % 8 / 4) * 16 + at / 8 * 4 + at % 4;
  }

  uint16_t *stagedKey(int key) const { return state.staged[slot] + key * state.lines * PAIR_LINE; }

  /** Scores of one group beside products with the values of another; either may be empty. */
  void pass(const Group &next, const Group &held) const {
    const int steps = GROUP / KEYS;
    const int blocks = (state.valueHalves + BLOCK - 1) / BLOCK;
    const int share = (blocks + steps - 1) / steps * BLOCK;
    int half = 0;
    for (int key = 0; key < GROUP; key += KEYS) {
      if (key + KEYS <= next.count) {
        score<KEYS>(next, key);
      } else {
        for (int k = key; k < next.count; k++) score<1>(next, k);
      }
      if (held.count == 0) continue;
      const int end = half + share < state.valueHalves ? half + share : state.valueHalves;
      for (; half + BLOCK <= end; half += BLOCK) addValues<BLOCK>(held, half);
      if (BLOCK > 1 && half < end) addValues<1>(held, half++);
    }
  }

  /** Where keys that are scored together are, go and will be: in registers, which stores do not make stale. */
  template <int count> struct Places {
    const std::byte *keys[count], *ahead[count];
    uint16_t *staged[count];
    const uint16_t *queries;
    int headDim;
  };

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

  /** Of `count` keys from `key` on. Sums over lanes are left to `weigh`. */
  template <int count> void score(const Group &group, int key) const {
    const Keys keys; // tables in registers
    Places<count> at{};
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) {
      at.keys[k] = group.keys[key + k];
      at.ahead[k] = group.ahead[key + k];
      if (Keys::staged) at.staged[k] = stagedKey(key + k);
    }
    at.queries = state.queries;
    at.headDim = state.headDim;
    Sums<count> sums, scaled;
    sums.clear();
    if constexpr (SCALED) {
      scaled.clear();
      constexpr int lines = Keys::scaleGroup / PAIR_LINE;
      for (int g = 0; g < Keys::codes / Keys::scaleGroup; g++) {
        float scale[count];
        bool usual = true;
#pragma GCC unroll 4
        for (int k = 0; k < count; k++) {
          scale[k] = Keys::scale(group.keys[key + k], group.scales[key + k], g);
          usual &= Keys::usual(scale[k]);
        }
        if (usual) [[likely]] {
#pragma GCC unroll 2
          for (int line = 0; line < lines; line++) scoreLine<count, true>(keys, at, g * lines + line, sums);
        } else {
          for (int line = 0; line < lines; line++) scoreScaled<count>(keys, at, g * lines + line, scale, sums);
          for (float &one : scale) one = 1;
        }
#pragma GCC unroll 4
        for (int k = 0; k < count; k++) {
          const __m512 by = _mm512_set1_ps(scale[k]);
#pragma GCC unroll 8
          for (int r = 0; r < rows; r++) {
            scaled.of[k][r][0] = _mm512_fmadd_ps(sums.total(k, r), by, scaled.of[k][r][0]);
          }
          if (g < state.scaleGroups) {
            for (int lane = key + k; lane < 16; lane += GROUP) state.scales[g * 16 + lane] = scale[k];
          }
        }
        sums.clear();
      }
      if (state.headDim > Keys::codes) scoreLine<count, false>(keys, at, Keys::codes / PAIR_LINE, sums);
    } else {
      const int whole = state.headDim / PAIR_LINE;
      for (int line = 0; line < whole; line++) scoreLine<count, true>(keys, at, line, sums);
      if (whole < state.lines) scoreLine<count, false>(keys, at, whole, sums);
    }
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) {
      for (int line = state.lines * FETCHED; line < tokenLines; line++) fetch(at.ahead[k] + line * 64);
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        const __m512 total = sums.total(k, r);
        _mm512_store_ps(state.products + (r * GROUP + key + k) * 16,
                        SCALED ? _mm512_add_ps(total, scaled.of[k][r][0]) : total);
      }
    }
  }

  template <int count, bool whole, class Sum>
  [[gnu::always_inline]] void scoreLine(const Keys &keys, const Places<count> &at, int line, Sum &sums) const {
    __m512i low[count], high[count];
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) {
      keys.template load<whole>(at.keys[k], line, at.headDim, low[k], high[k]);
      fetch(at.ahead[k] + line * FETCHED * 64);
      if (FETCHED > 1) fetch(at.ahead[k] + (line * FETCHED + 1) * 64);
    }
    multiply<count>(at, line, low, high, sums);
  }

  template <int count, class Sum>
  void scoreScaled(const Keys &keys, const Places<count> &at, int line, const float (&scale)[count], Sum &sums) const {
    __m512i low[count], high[count];
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) keys.loadScaled(at.keys[k], line, scale[k], low[k], high[k]);
    multiply<count>(at, line, low, high, sums);
  }

  template <int count, class Sum>
  [[gnu::always_inline]] void multiply(const Places<count> &at, int line, const __m512i (&low)[count], const __m512i (&high)[count], Sum &sums) const {
    const uint16_t *q = at.queries + line * rows * PAIR_LINE;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const __m512bh first = pairs(_mm512_load_si512(q + r * PAIR_LINE));
      const __m512bh last = pairs(_mm512_load_si512(q + r * PAIR_LINE + PAIR_HALF));
#pragma GCC unroll 4
      for (int k = 0; k < count; k++) {
        auto &sum = sums.of[k][r];
        sum[0] = _mm512_dpbf16_ps(sum[0], pairs(low[k]), first);
        sum[SUMS - 1] = _mm512_dpbf16_ps(sum[SUMS - 1], pairs(high[k]), last);
      }
    }
    if constexpr (Keys::staged) {
#pragma GCC unroll 4
      for (int k = 0; k < count; k++) {
        uint16_t *to = at.staged[k] + line * PAIR_LINE;
        _mm512_store_si512(to, low[k]);
        _mm512_store_si512(to + PAIR_HALF, high[k]);
      }
    }
  }

  /** A cache line, to the second-level cache. GCC drops calls of a function that does nothing else, unless it inlines them. */
  [[gnu::always_inline]] static void fetch(const std::byte *line) { _mm_prefetch(reinterpret_cast<const char *>(line), _MM_HINT_T1); }

  static __m512bh pairs(__m512i numbers) { return reinterpret_cast<__m512bh>(numbers); }

  template <bool whole> __m512i value(const std::byte *key, int half) const {
    if constexpr (Keys::staged) return _mm512_load_si512(key + half * PAIR_HALF * 2);
    else return PairsOfBf16::half<whole>(key, half, state.headDim);
  }

  /** Adds weights × values to half lines of all rows' outputs, which have a scale in common. */
  template <int halves> void addValues(const Group &group, int half) const {
    if (!Keys::staged && (half + halves) * PAIR_HALF > state.headDim) addHalves<halves, false>(group, half);
    else addHalves<halves, true>(group, half);
  }

  template <int halves, bool whole> void addHalves(const Group &group, int half) const {
    float *out = state.out + half * rows * PAIR_HALF;
    const uint64_t *weights = state.weights;
    if constexpr (SCALED) weights += half / (Keys::scaleGroup / PAIR_HALF) * (LANES / 2);
    __m512 sums[halves * rows * 2];
#pragma GCC unroll 32
    for (int i = 0; i < halves * rows * 2; i++) sums[i] = _mm512_load_ps(out + i * 16);
    const auto add = [&](int k) __attribute__((always_inline)) {
#pragma GCC unroll 2
      for (int h = 0; h < halves; h++) {
        const __m512i even = value<whole>(group.keys[k], half + h), odd = value<whole>(group.keys[k + 1], half + h);
        const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
          const __m512bh weight = pairs(_mm512_set1_epi32(static_cast<int>(weights[(r * GROUP + k) / 2])));
          __m512 *sum = sums + (h * rows + r) * 2;
          sum[0] = _mm512_dpbf16_ps(sum[0], weight, pairs(low));
          sum[1] = _mm512_dpbf16_ps(sum[1], weight, pairs(high));
        }
      }
    };
    if (group.count == GROUP) [[likely]] {
#pragma GCC unroll 4
      for (int k = 0; k < GROUP; k += 2) add(k);
    } else {
      for (int k = 0; k < group.count; k += 2) add(k);
    }
#pragma GCC unroll 32
    for (int i = 0; i < halves * rows * 2; i++) _mm512_store_ps(out + i * 16, sums[i]);
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
    const __m512 scale = _mm512_set1_ps(state.scale);
    __m512 logits[VECTORS];
    bool raise = false;
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      const __mmask16 present = static_cast<__mmask16>(seen >> v * 16);
      const __m512 all = _mm512_mul_ps(sumsOf(state.products + v * 256), scale);
      logits[v] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), present, all);
      // Of two numbers of which one is NaN this is the second.
      _mm512_store_ps(state.maximum + v * 16, _mm512_max_ps(logits[v], _mm512_load_ps(state.maximum + v * 16)));
      raise |= _mm512_cmp_ps_mask(logits[v], _mm512_load_ps(state.limit + v * 16), _CMP_GT_OQ) != 0;
    }
    if (raise) [[unlikely]] raiseBases<GROUP>(state, [&](int row, float factor) { rescale(row, factor); });
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      const __m512 weight = exp2<Avx512Vec>(_mm512_sub_ps(logits[v], _mm512_load_ps(state.base + v * 16)));
      addTo(state.sum + v * 16, weight);
      if constexpr (Keys::exactScales) {
        const __m512 close = rounded(weight);
        addTo(state.roundedSum + v * 16, close);
        for (int g = 0; g < state.scaleGroups; g++) {
          const __m512 scales = _mm512_load_ps(state.scales + g * 16);
          storePairs(g, v, Keys::scaleGroup == 0 ? close : _mm512_mul_ps(close, scales));
        }
      } else {
        for (int g = 0; g < state.scaleGroups; g++) {
          const __m512 scales = _mm512_load_ps(state.scales + g * 16);
          const __m512 close = rounded(_mm512_mul_ps(weight, scales));
          addTo(state.roundedSum + g * LANES + v * 16, _mm512_div_ps(close, scales));
          storePairs(g, v, close);
        }
      }
    }
  }

  static void addTo(float *lanes, __m512 numbers) { _mm512_store_ps(lanes, _mm512_add_ps(numbers, _mm512_load_ps(lanes))); }

  /** To bf16, half up. */
  static __m512 rounded(__m512 numbers) {
    const __m512i up = _mm512_add_epi32(_mm512_castps_si512(numbers), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }

  void storePairs(int scaleGroup, int vector, __m512 close) const {
    const __m512i bits = _mm512_castps_si512(close);
    const __m512i both = _mm512_or_si512(_mm512_srli_epi64(bits, 32), _mm512_srli_epi32(bits, 16));
    _mm512_store_si512(state.weights + scaleGroup * (LANES / 2) + vector * 8, both);
  }

  void rescale(int row, float factor) const {
    for (int g = 0; g < (Keys::exactScales ? 1 : state.scaleGroups); g++) {
      for (int i = row * GROUP; i < (row + 1) * GROUP; i++) state.roundedSum[g * LANES + i] *= factor;
    }
    for (int half = 0; half < state.valueHalves; half++) {
      for (int i = 0; i < PAIR_HALF; i++) state.out[(half * rows + row) * PAIR_HALF + i] *= factor;
    }
  }

  /** The group that was scored last has the values of the next pass; a key without a partner has one of weight 0. */
  void hold(Group &group) {
    if constexpr (Keys::staged) {
      for (int k = 0; k < group.count; k++) group.keys[k] = reinterpret_cast<const std::byte *>(stagedKey(k));
      slot ^= 1;
    }
    if (group.count % 2 != 0) group.keys[group.count] = group.keys[group.count - 1];
  }

  const FewPairsState &state;
  const int tokenLines;
  int slot = 0; // of the two groups of staged keys, the one to fill
};

/** Calls `f` with the attention of a state. */
template <class F> inline void withFewPairs(const FewPairsState &state, F f) {
  withPairKeys(state.compute, [&](auto keys) {
    withConstant<FEW_ROWS>(state.rows, [&](auto rows) { f(FewPairs<decltype(keys), rows.value>(state)); });
  });
}

} // namespace
} // namespace polymla::cpu
