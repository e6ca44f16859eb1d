#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "../blocks.h"
#include "../kernels.h"

namespace polymla::cpu {
namespace {

/** Numbers in a vector of f32, and query rows that one holds. */
constexpr int LANES = 16;
/** Value columns of a bf16 vector, which two output vectors take. */
constexpr int VALUE_BLOCK = 32;
/** Value columns that are interleaved together. */
constexpr int PANEL_COLUMNS = 2 * VALUE_BLOCK;
/** Logits may exceed the reference maximum by so many powers of two before outputs are rescaled. */
constexpr float RESCALE_ABOVE = 8;

/**
 * Attention in progress, followed in memory by its arrays. Logits are in powers of two: q·k · scale · log2 e.
 * Weights are 2^(logit − reference), and the reference is the first maximum met, replaced only by one that is
 * larger by RESCALE_ABOVE; so rescaling is rare, and bf16 weights lose nothing since their precision is
 * relative.
 *
 * Weights are summed twice: as they are, for lse, and as rounded to bf16, to normalise outputs by what they
 * were made with. That way a row with one dominant key returns its value without rounding error.
 */
struct Bf16State {
  int rows;
  int headDim;
  int valueDim;
  int pairs;   // of dims, padded with zeros to a multiple of 16
  int vectors; // of rows
  int columns; // valueDim padded to whole panels
  float scale; // of q·k, ≥ 0: its sign is in the queries

  float *reference; // [vectors][LANES]
  float *maximum;   // [vectors][LANES]: of all logits
  float *sum;       // [vectors][LANES]
  float *weightSum; // [vectors][LANES], of rounded weights
  uint32_t *queries; // pairs of bf16, dims 2p and 2p + 1: [vectors][pairs][LANES]
  float *logits;     // [vectors][TILE_KEYS][LANES]
  uint32_t *weights; // pairs of bf16, keys 2p and 2p + 1: [vectors][keys / 2][LANES]; or as tiles
  /**
   * [vectors][columns / LANES][LANES rows][LANES columns], columns of a block in the order that interleaving
   * two bf16 vectors leaves: 0–3, 8–11, 16–19, 24–27, then 4–7, 12–15, 20–23, 28–31.
   */
  float *output;
  /** PANEL_COLUMNS of the values, interleaved as the kernel wants them. */
  uint32_t *panel;
};

/** Floats from 16 output columns of a row to the next 16. */
constexpr int OUTPUT_STEP = LANES * LANES;

/** The first of 16 output columns of a row, from a multiple of 16 on; the next row's are LANES further on. */
inline float *outputAt(const Bf16State &state, int row, int column) {
  const size_t tile = static_cast<size_t>(row / LANES) * (state.columns / LANES) + column / LANES;
  return state.output + tile * OUTPUT_STEP + row % LANES * LANES;
}

/** Hands out parts of a block, each aligned to 64 bytes; of a null block, it only counts. */
struct Carver {
  std::byte *at;
  size_t used = 0;
  template <class T> T *take(size_t count) {
    T *part = at ? reinterpret_cast<T *>(at + used) : nullptr;
    used += (count * sizeof(T) + 63) / 64 * 64;
    return part;
  }
};

/**
 * Divides `memory`, or with null only measures; `keys` are those whose weights are held together. Arrays are
 * not written.
 */
inline size_t layOut(Bf16State &state, std::byte *memory, int rows, int headDim, int valueDim, int keys) {
  state.rows = rows;
  state.headDim = headDim;
  state.valueDim = valueDim;
  state.pairs = ceilDiv(headDim, 2 * LANES) * LANES;
  state.vectors = ceilDiv(rows, LANES);
  state.columns = ceilDiv(valueDim, PANEL_COLUMNS) * PANEL_COLUMNS;
  const size_t laneRows = static_cast<size_t>(state.vectors) * LANES;
  Carver carver{memory};
  state.reference = carver.take<float>(laneRows);
  state.maximum = carver.take<float>(laneRows);
  state.sum = carver.take<float>(laneRows);
  state.weightSum = carver.take<float>(laneRows);
  state.queries = carver.take<uint32_t>(laneRows * state.pairs);
  state.logits = carver.take<float>(laneRows * TILE_KEYS);
  state.weights = carver.take<uint32_t>(laneRows * (keys / 2));
  state.output = carver.take<float>(laneRows * state.columns);
  state.panel = carver.take<uint32_t>(static_cast<size_t>(keys / 2) * PANEL_COLUMNS);
  return carver.used;
}

} // namespace
} // namespace polymla::cpu
