#include "../isa.h"

#include <algorithm>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "../avx512-bf16/finish.h"
#include "../avx512-bf16/queries.h"
#include "../measure.h"
#include "attend.h"

namespace polymla::cpu {
namespace {

/** Rows up to which AVX-512 reads memory faster: a tile product takes 16 rows, however many there are. */
constexpr int TOO_FEW_ROWS = 4;

/** Every state begins so; one that is not for tile products is AVX-512's, further on, which multiplies faster here. */
struct State {
  bool byTiles;
  Bf16State bf16;
  TileBuffers buffers;
};
constexpr size_t HEADER = (sizeof(State) + 63) / 64 * 64;

std::byte *afterHeader(void *state) { return static_cast<std::byte *>(state) + HEADER; }

/** Linux hands out the tile registers on demand, to the whole process (Documentation/arch/x86/xstate.rst). */
bool permitted() {
#if defined(__linux__)
  constexpr long ARCH_REQ_XCOMP_PERM = 0x1023;
  constexpr long XFEATURE_XTILEDATA = 18;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}

bool usable() {
  return avx512Bf16Kernels.usable() && __builtin_cpu_supports("amx-tile") &&
         __builtin_cpu_supports("amx-bf16") && permitted();
}

Compute computeFor(uint32_t dtype, uint32_t format) { return avx512Bf16Kernels.compute(dtype, format); }

size_t layOutFor(State &state, std::byte *memory, int rows, int headDim, int valueDim) {
  const size_t bytes = layOut(state.bf16, memory, rows, headDim, valueDim, GROUP_KEYS);
  Carver carver{memory, bytes};
  state.buffers.keys =
      carver.take<std::byte>(TILE_KEYS * static_cast<size_t>(state.bf16.pairs) * sizeof(uint32_t));
  state.buffers.otherLogits = carver.take<float>(static_cast<size_t>(state.bf16.vectors) * LANES * TILE_KEYS);
  return carver.used;
}

Compute computeInPlace(uint32_t dtype, uint32_t format, int rows) {
  return rows > TOO_FEW_ROWS ? computeFor(dtype, format) : avx512Kernels.computeInPlace(dtype, format, rows);
}

size_t stateBytes(int rows, int headDim, int valueDim, Compute compute) {
  const size_t other = avx512Kernels.stateBytes(rows, headDim, valueDim, compute);
  if (compute != Compute::Bf16) return HEADER + other;
  State state;
  return HEADER + std::max(other, layOutFor(state, nullptr, rows, headDim, valueDim));
}

void begin(void *memory, const Queries &queries, Compute compute) {
  const bool byTiles = compute == Compute::Bf16 && isBf16(queries.dtype) && queries.count > TOO_FEW_ROWS;
  State &state = *new (memory) State{byTiles, {}, {}};
  if (!byTiles) return avx512Kernels.begin(afterHeader(memory), queries, compute);
  layOutFor(state, afterHeader(memory), queries.count, queries.headDim, queries.valueDim);
  beginState(state.bf16, queries);
}

void attend(void *memory, const KeyTile *tiles, int count, const KeyTile *next) {
  State &state = *static_cast<State *>(memory);
  if (!state.byTiles) return avx512Kernels.attend(afterHeader(memory), tiles, count, next);
  const TileUnit unit;
  TileAttention(state.bf16, state.buffers, tiles, count, next).attend();
}

void finish(void *memory, float *out, int64_t outStride, float *lse, float *maxLogit) {
  const State &state = *static_cast<const State *>(memory);
  if (!state.byTiles) return avx512Kernels.finish(afterHeader(memory), out, outStride, lse, maxLogit);
  finishState(state.bf16, out, outStride, lse, maxLogit);
}

void gather(const CacheTokens &tokens, Compute compute, std::byte *tile) {
  avx512Bf16Kernels.gather(tokens, compute, tile);
}
bool direct(uint32_t format, Compute compute) { return avx512Bf16Kernels.direct(format, compute); }
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

/** One thread's products of tiles in registers for about `seconds`, as flop/s. */
double peakTiles(double seconds) {
  constexpr int rounds = 4096;
  constexpr int products = 4;
  const TileUnit unit;
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  int64_t done = 0;
  const double start = now();
  double elapsed = 0;
  while (elapsed < seconds) {
    for (int round = 0; round < rounds; round++) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    done += rounds;
    elapsed = now() - start;
  }
  constexpr double flop = 2.0 * TILE_ROWS * TILE_ROWS * (2 * TILE_ROWS);
  return flop * products * static_cast<double>(done) / elapsed;
}

} // namespace

constinit const Kernels amxBf16Kernels = {
    "amx-bf16", usable, computeFor, computeInPlace, stateBytes, begin,   attend,    finish,     gather,
    direct,     encode, decode,     accumulate, peakF32, peakTiles, readMemory,
};

} // namespace polymla::cpu
