#pragma once

#include "../avx512/intrinsics.h"

namespace polymla::cpu {
namespace {

/** Transposes 16 × 16 words of 4 bytes. */
inline void transpose(__m512i (&rows)[16]) {
  __m512i half[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    half[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    half[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  // rows[4g + c]: column c of each 128-bit lane, of the rows 4g … 4g + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(half[i], half[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(half[i], half[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(half[i + 1], half[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(half[i + 1], half[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    half[c] = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0x88);
    half[4 + c] = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0xdd);
    half[8 + c] = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0x88);
    half[12 + c] = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0xdd);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    rows[c] = _mm512_shuffle_i32x4(half[c], half[8 + c], 0x88);
    rows[8 + c] = _mm512_shuffle_i32x4(half[c], half[8 + c], 0xdd);
    rows[4 + c] = _mm512_shuffle_i32x4(half[4 + c], half[12 + c], 0x88);
    rows[12 + c] = _mm512_shuffle_i32x4(half[4 + c], half[12 + c], 0xdd);
  }
}

} // namespace
} // namespace polymla::cpu
