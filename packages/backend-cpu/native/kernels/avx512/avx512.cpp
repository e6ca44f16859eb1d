#include "../isa.h"

#include <algorithm>
#include <new>

#include "../vector-kernels.h"
#include "few-rows.h"
#include "vec-avx512.h"

namespace polymla::cpu {
namespace {

using Portable = VectorKernels<Avx512Vec>;
using ManyRows = AttentionF32<Avx512Vec>;

bool usable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

Compute computeInPlace(uint32_t dtype, uint32_t format, int rows) {
  if (rows <= FEW_ROWS) {
    switch (format) {
    case PMLA_KV_E4M3: return Compute::E4m3;
    case PMLA_KV_FP8_656: return Compute::Fp8With656;
    case PMLA_KV_FP8_584: return Compute::Fp8With584;
    }
  }
  return Portable::compute(dtype, format);
}

bool direct(uint32_t format, Compute compute) {
  switch (compute) {
  case Compute::E4m3: return format == PMLA_KV_E4M3;
  case Compute::Fp8With656: return format == PMLA_KV_FP8_656;
  case Compute::Fp8With584: return format == PMLA_KV_FP8_584;
  default: return Portable::direct(format, compute);
  }
}

bool few(int rows) { return rows <= FEW_ROWS; }
/** Both kinds of states begin with rows, head dim, value dim and compute type. */
bool few(const void *state) { return few(static_cast<const FewRowsState *>(state)->rows); }
FewRowsState &fewRows(void *state) { return *static_cast<FewRowsState *>(state); }

/** A state for many rows may be begun with few. */
size_t stateBytes(int rows, int headDim, int valueDim, Compute compute) {
  FewRowsState state;
  const size_t bytes = layOutFewRows(state, nullptr, std::min(rows, FEW_ROWS), headDim, valueDim, compute);
  if (few(rows)) return bytes;
  return std::max(bytes, ManyRows::stateBytes(rows, headDim, valueDim, compute));
}

void begin(void *memory, const Queries &queries, Compute compute) {
  if (!few(queries.count)) return ManyRows::begin(memory, queries, compute);
  FewRowsState &state = *new (memory) FewRowsState;
  layOutFewRows(state, static_cast<std::byte *>(memory), queries.count, queries.headDim, queries.valueDim, compute);
  withFewRows(state, [&](auto attention) { attention.begin(queries); });
}

void attend(void *memory, const KeyTile *tiles, int count, const KeyTile *next) {
  if (!few(memory)) return ManyRows::attend(memory, tiles, count, next);
  withFewRows(fewRows(memory), [&](auto attention) { attention.attend(tiles, count, next); });
}

void finish(void *memory, float *out, int64_t outStride, float *lse, float *maxLogit) {
  if (!few(memory)) return ManyRows::finish(memory, out, outStride, lse, maxLogit);
  withFewRows(fewRows(memory), [&](auto attention) { attention.finish(out, outStride, lse, maxLogit); });
}

constexpr Kernels kernels() {
  Kernels kernels = Portable::named("avx512", usable);
  kernels.computeInPlace = computeInPlace;
  kernels.stateBytes = stateBytes;
  kernels.begin = begin;
  kernels.attend = attend;
  kernels.finish = finish;
  kernels.direct = direct;
  return kernels;
}

} // namespace

constinit const Kernels avx512Kernels = kernels();

} // namespace polymla::cpu
