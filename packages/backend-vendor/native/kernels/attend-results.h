#pragma once
#include "attend-config.h"

namespace polymla {

constexpr float minusInfinity = -INFINITY;
constexpr double ln2 = 0.69314718055994530942;

/** Sums of a block's rows, by columns of teams, as the hook M has them. */
template <class M, class Tiles, int TilesEach> struct AttendResults {
  static constexpr int rowTiles = Tiles::rowTiles;

  float sums[rowTiles][TilesEach][M::values];

  PMLA_DEVICE void clear() {
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int v = 0; v < TilesEach; v++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) sums[t][v][i] = 0;
      }
    }
  }

  PMLA_DEVICE void multiply(const float (&factors)[rowTiles][M::rows]) {
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int v = 0; v < TilesEach; v++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) sums[t][v][i] *= factors[t][M::rowIndex(i)];
      }
    }
  }

  /**
   * Writes one of a lane's rows: to the outputs, or as a partial result.
   *
   * @param total of weights, which are relative to 2^reference
   * @param largest logit, in base 2
   */
  PMLA_DEVICE void store(const AttendParams &p, const RowBlock &rows, const Piece &piece, int thread, int t, int r,
                         float total, float reference, float largest) const {
    const int lane = thread % M::lanes;
    const int64_t row = rows.first + t * 16 + M::rowOf(lane, r);
    if (row >= p.rows) return;
    const bool seen = total > 0;
    const float lse = seen ? (reference + log2f(total)) * static_cast<float>(ln2) : minusInfinity;
    const bool tells = thread < M::lanes && lane / M::rowStep % M::rowLanes == 0;
    float by = seen ? 1 / total : 0;
    if (piece.place >= 0) {
      const int64_t at = piece.place * p.queryTokens * p.heads + rows.head * p.rows + row;
      storeRow(p, p.partialOut, PMLA_F32, at * p.valueDim, thread, t, r, by);
      if (tells) p.partialLse[at] = lse;
      return;
    }
    const int64_t head = rows.headOf(p, row);
    const int64_t token = rows.tokenOf(p, row);
    by *= p.outScale;
    if (seen && p.sink != nullptr) by /= 1 + expf(p.sink[head] - lse);
    storeRow(p, p.out, p.outType, ((piece.request * p.queryTokens + token) * p.heads + head) * p.valueDim, thread, t, r, by);
    if (!tells) return;
    const int64_t at = (piece.request * p.heads + head) * p.queryTokens + token;
    if (p.lse != nullptr) p.lse[at] = seen ? lse : INFINITY;
    if (p.maxLogits != nullptr) p.maxLogits[at] = largest * static_cast<float>(ln2);
  }

private:
  PMLA_DEVICE void storeRow(const AttendParams &p, void *to, uint32_t type, int64_t at, int thread, int t, int r, float by) const {
    PMLA_UNROLL
    for (int v = 0; v < TilesEach; v++) {
      PMLA_UNROLL
      for (int i = 0; i < M::values; i += M::run) {
        if (M::rowIndex(i) != r) continue;
        const int column = (thread / M::lanes * TilesEach + v) * 16 + M::columnOf(thread % M::lanes, i);
        if (column >= p.valueDim) continue;
        float numbers[M::run];
        PMLA_UNROLL
        for (int j = 0; j < M::run; j++) numbers[j] = sums[t][v][i + j] * by;
        if (type == PMLA_F32) {
          storeRun(static_cast<float *>(to) + at + column, numbers);
        } else {
          uint16_t codes[M::run];
          if (type == PMLA_BF16) storeAll<Bf16>(codes, numbers);
          else storeAll<F16>(codes, numbers);
          storeRun(static_cast<uint16_t *>(to) + at + column, codes);
        }
      }
    }
  }

  /** Neighbours, to an address that is aligned to its elements. */
  template <class Code, int Count> static PMLA_DEVICE void storeRun(Code *to, const Code (&codes)[Count]) {
    if constexpr (Count == 2) {
      struct alignas(2 * sizeof(Code)) Pair {
        Code first, second;
      };
      if (reinterpret_cast<uintptr_t>(to) % sizeof(Pair) == 0) {
        *reinterpret_cast<Pair *>(to) = Pair{codes[0], codes[1]};
        return;
      }
    }
    PMLA_UNROLL
    for (int j = 0; j < Count; j++) to[j] = codes[j];
  }
};

} // namespace polymla
