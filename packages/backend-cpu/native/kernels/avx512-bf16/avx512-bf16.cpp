#include "../isa.h"

#include <algorithm>

#include "few-rows.h"
#include "finish.h"
#include "gather.h"
#include "peak.h"
#include "queries.h"
#include "rows.h"

namespace polymla::cpu {
namespace {

enum class Kind { F32, FewPairs, Pairs };

/** Every state begins so; those that multiply in fp32 are AVX-512's, further on, as are those of a few rows. */
struct State {
  Kind kind;
  Bf16State bf16; // Pairs only
};
constexpr size_t HEADER = (sizeof(State) + 63) / 64 * 64;

std::byte *afterHeader(void *state) { return static_cast<std::byte *>(state) + HEADER; }

size_t layOutFor(Bf16State &state, std::byte *memory, int rows, int headDim, int valueDim) {
  return layOut(state, memory, rows, headDim, valueDim, TILE_KEYS);
}

bool usable() {
  return avx512Kernels.usable() && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512bf16");
}

/** In pairs of bf16 only where they hold every number of queries and keys exactly. */
Compute computeFor(uint32_t dtype, uint32_t format) {
  const bool exact = isBf16(dtype) && format != PMLA_KV_F16 && format != PMLA_KV_F32;
  return exact ? Compute::Bf16 : avx512Kernels.compute(dtype, format);
}

Compute computeInPlace(uint32_t dtype, uint32_t format, int rows) {
  return rows > FEW_ROWS ? computeFor(dtype, format) : avx512Kernels.computeInPlace(dtype, format, rows);
}

Kind kindOf(const Queries &queries, Compute compute) {
  if (!isBf16(queries.dtype)) return Kind::F32;
  if (queries.count <= FEW_ROWS && inFewPairs(compute)) return Kind::FewPairs;
  return compute == Compute::Bf16 ? Kind::Pairs : Kind::F32;
}

FewPairsState &fewPairs(void *state) { return *reinterpret_cast<FewPairsState *>(afterHeader(state)); }

/** A state for many rows may be begun with few. */
size_t stateBytes(int rows, int headDim, int valueDim, Compute compute) {
  size_t bytes = avx512Kernels.stateBytes(rows, headDim, valueDim, compute);
  if (inFewPairs(compute)) {
    FewPairsState few;
    bytes = std::max(bytes, layOutFewPairs(few, nullptr, std::min(rows, FEW_ROWS), headDim, valueDim, compute));
  }
  if (compute == Compute::Bf16) {
    Bf16State many;
    bytes = std::max(bytes, layOutFor(many, nullptr, rows, headDim, valueDim));
  }
  return HEADER + bytes;
}

void begin(void *memory, const Queries &queries, Compute compute) {
  State &state = *new (memory) State{kindOf(queries, compute), {}};
  switch (state.kind) {
  case Kind::F32: return avx512Kernels.begin(afterHeader(memory), queries, compute);
  case Kind::FewPairs: {
    FewPairsState &few = *new (afterHeader(memory)) FewPairsState;
    layOutFewPairs(few, afterHeader(memory), queries.count, queries.headDim, queries.valueDim, compute);
    few.scale = queries.scale * 0x1.715476p+0f; // log2(e)
    return withFewPairs(few, [&](auto attention) { attention.begin(queries); });
  }
  case Kind::Pairs:
    layOutFor(state.bf16, afterHeader(memory), queries.count, queries.headDim, queries.valueDim);
    return beginState(state.bf16, queries);
  }
}

void attend(void *memory, const KeyTile *tiles, int count, const KeyTile *next) {
  State &state = *static_cast<State *>(memory);
  switch (state.kind) {
  case Kind::F32: return avx512Kernels.attend(afterHeader(memory), tiles, count, next);
  case Kind::FewPairs:
    return withFewPairs(fewPairs(memory), [&](auto attention) { attention.attend(tiles, count, next); });
  case Kind::Pairs: return attendRows(state.bf16, tiles, count, next);
  }
}

void finish(void *memory, float *out, int64_t outStride, float *lse, float *maxLogit) {
  const State &state = *static_cast<const State *>(memory);
  switch (state.kind) {
  case Kind::F32: return avx512Kernels.finish(afterHeader(memory), out, outStride, lse, maxLogit);
  case Kind::FewPairs:
    return withFewPairs(fewPairs(memory), [&](auto attention) { attention.finish(out, outStride, lse, maxLogit); });
  case Kind::Pairs: return finishState(state.bf16, out, outStride, lse, maxLogit);
  }
}

void gather(const CacheTokens &tokens, Compute compute, std::byte *tile) {
  if (compute != Compute::Bf16) return avx512Kernels.gather(tokens, compute, tile);
  gatherBf16(tokens, tile);
}

bool direct(uint32_t format, Compute compute) { return avx512Kernels.direct(format, compute); }

void encode(uint32_t dtype, const float *source, void *target, int64_t count) {
  avx512Kernels.encode(dtype, source, target, count);
}
void decode(uint32_t dtype, const void *source, float *target, int64_t count) {
  avx512Kernels.decode(dtype, source, target, count);
}
void accumulate(float weight, const float *source, float *target, int64_t count) {
  avx512Kernels.accumulate(weight, source, target, count);
}
double peakF32(double seconds) { return avx512Kernels.peakF32(seconds); }
uint64_t readMemory(const std::byte *memory, size_t bytes) { return avx512Kernels.readAll(memory, bytes); }

} // namespace

constinit const Kernels avx512Bf16Kernels = {
    "avx512-bf16", usable, computeFor, computeInPlace, stateBytes, begin,   attend,  finish,     gather,
    direct,        encode, decode,     accumulate, peakF32, peakDot, readMemory,
};

} // namespace polymla::cpu
