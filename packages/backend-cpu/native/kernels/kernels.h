#pragma once

#include <cstddef>
#include <cstdint>

#include "polymla_backend.h"

namespace polymla::cpu {

/** Keys that one step of attention takes at most. */
constexpr int TILE_KEYS = 64;
/** Query rows that one attention state holds at most. */
constexpr int MAX_ROWS = 128;

/**
 * What the keys of a tile are. Products are summed in fp32: those of bf16 in pairs where the instruction set has a unit for
 * that, all others after conversion to fp32.
 */
enum class Compute {
  Bf16,
  F32,
  F16,
  /** Tokens of a cache format as they are; see Kernels::computeInPlace. */
  E4m3,
  Fp8With656,
  Fp8With584,
};

/** Up to TILE_KEYS keys of one KV head, as the compute type. */
struct KeyTile {
  const std::byte *keys; // [count][head_dim], aligned to its numbers
  int64_t stride;        // bytes from key to key
  int count;             // 1 … TILE_KEYS; memory behind the last key is not read
  /** [rows]: bit j tells whether the row sees key j; null when every row sees all. */
  const uint64_t *visible;
  /** [count][8]: scales of the tokens; Fp8With584 only. */
  const std::byte *scales = nullptr;
};

/** Query rows that attend to the same keys. */
struct Queries {
  const void *const *rows; // [count], each head_dim numbers of `dtype`, aligned to their size
  uint32_t dtype;          // pmla_dtype
  int count;               // 1 … MAX_ROWS
  int headDim;             // a multiple of 16
  int valueDim;            // a multiple of 16, ≤ headDim
  float scale;             // of the logits: softmax scale and descales together
};

/** Tokens of a paged cache, wherever they lie, to be made a tile. */
struct CacheTokens {
  uint32_t format;                // pmla_kv_format
  int headDim;
  int count;                      // 1 … TILE_KEYS
  const std::byte *const *tokens; // [count]: first byte of each token, of the wanted KV head
  const std::byte *const *scales; // [count]: FP8_584 only, first byte of each token's scales
};

/**
 * The math for one instruction set. Attention over any number of keys is begin, attend …, finish on a state that lives
 * in memory of the caller; results depend on the order and grouping of keys into tiles, and on nothing else.
 */
struct Kernels {
  /** As users select it, such as "avx512-bf16". */
  const char *name;
  /** Whether this processor runs it; may ask the system for permission (AMX). */
  bool (*usable)();
  /** The compute type for queries of a dtype over a cache of a format. */
  Compute (*compute)(uint32_t dtype, uint32_t format);
  /**
   * The same for tiles that lie in a cache and states of at most `rows` rows: a type whose tiles are tokens of the format as
   * they are, where there is one for so many rows.
   */
  Compute (*computeInPlace)(uint32_t dtype, uint32_t format, int rows);

  /** Bytes of a state, aligned to 64. */
  size_t (*stateBytes)(int rows, int headDim, int valueDim, Compute compute);
  /** Makes the queries ready, with no key seen. `state` is aligned to 64 bytes. */
  void (*begin)(void *state, const Queries &queries, Compute compute);
  /**
   * Online softmax over the tiles' keys; ones of zero weight may hold any finite number. `next`: the tile of the call to
   * come, which is fetched meanwhile, or null.
   */
  void (*attend)(void *state, const KeyTile *tiles, int count, const KeyTile *next);
  /**
   * out[row][0 … valueDim), normalised, `outStride` floats from row to row; lse [rows], natural log; maxLogit [rows] or
   * null. A row that saw nothing: 0, +Infinity, −Infinity.
   */
  void (*finish)(void *state, float *out, int64_t outStride, float *lse, float *maxLogit);

  /** Decodes tokens into a packed tile [count][headDim] of the compute type; e4m3 tensors without their scale. */
  void (*gather)(const CacheTokens &tokens, Compute compute, std::byte *tile);
  /** Whether tiles of this format can be read from the cache as they are, without `gather`. */
  bool (*direct)(uint32_t format, Compute compute);

  /** f32 to bf16 or f16, round to nearest even (NaN stays NaN), or f32; and back. */
  void (*encode)(uint32_t dtype, const float *source, void *target, int64_t count);
  void (*decode)(uint32_t dtype, const void *source, float *target, int64_t count);
  /** target[i] += weight · source[i] */
  void (*accumulate)(float weight, const float *source, float *target, int64_t count);

  /** One thread's multiply-adds for about `seconds`, as flop/s; 0 where the unit is absent. */
  double (*peakF32)(double seconds);
  double (*peakBf16)(double seconds);
  /** Reads `bytes` once, as fast as the instruction set can; returns a sum that keeps the reads alive. */
  uint64_t (*readAll)(const std::byte *memory, size_t bytes);
};

/** Every instruction set this library was built with, best first; "scalar" is the last and always usable. */
const Kernels *const *allKernels(int *count);

} // namespace polymla::cpu
