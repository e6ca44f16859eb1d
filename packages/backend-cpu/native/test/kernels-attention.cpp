// Attention of every instruction set against sums in double precision.

#include <algorithm>
#include <cmath>
#include <limits>

#include "../kernels/convert.h"
#include "kernels-check.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

constexpr float INF = std::numeric_limits<float>::infinity();

struct Case {
  uint32_t dtype;  // of the queries
  uint32_t format; // of the cache: a plain one
  int rows, headDim, valueDim;
  std::vector<int> counts; // keys per tile
  int mask;                // one of Masks
  float spread;            // standard deviation of queries and keys
};

enum Masks { ALL, CAUSAL, RANDOM, SOME_ROWS, NOTHING, MASKS };

std::vector<float> numbers(std::mt19937 &random, size_t count, float spread) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float &value : values) value = std::clamp(normal(random), -10 * spread, 10 * spread);
  return values;
}

size_t sizeOf(uint32_t dtype) { return dtype == PMLA_F32 ? 4 : dtype == PMLA_E4M3 ? 1 : 2; }

/** Codes of a dtype; `values` become what the codes stand for. */
Bytes encoded(uint32_t dtype, std::vector<float> &values) {
  Bytes codes(values.size() * sizeOf(dtype));
  for (size_t i = 0; i < values.size(); i++) {
    std::byte *code = codes.data() + i * sizeOf(dtype);
    if (dtype == PMLA_F32) {
      std::memcpy(code, &values[i], 4);
    } else if (dtype == PMLA_E4M3) {
      *code = static_cast<std::byte>(encodeE4m3(values[i]));
      values[i] = decodeE4m3(static_cast<uint8_t>(*code));
    } else {
      const uint16_t code16 = dtype == PMLA_BF16 ? encodeBf16(values[i]) : encodeF16(values[i]);
      std::memcpy(code, &code16, 2);
      values[i] = dtype == PMLA_BF16 ? decodeBf16(code16) : decodeF16(code16);
    }
  }
  return codes;
}

/** Inputs of a case and what must come out. */
struct Problem {
  Case of;
  int keyCount = 0;
  float scale;
  Bytes q, keys;
  std::vector<std::vector<uint64_t>> visible; // per tile, [rows]
  std::vector<double> out, lse, max;

  explicit Problem(const Case &of, std::mt19937 &random) : of(of) {
    for (const int count : of.counts) keyCount += count;
    scale = 1 / std::sqrt(static_cast<float>(of.headDim));
    std::vector<float> queryValues = numbers(random, static_cast<size_t>(of.rows) * of.headDim, of.spread);
    std::vector<float> keyValues = numbers(random, static_cast<size_t>(keyCount) * of.headDim, of.spread);
    makeMasks(random);
    // What no row sees may be any finite number.
    for (int key = 0; key < keyCount; key++) {
      bool seen = false;
      for (int row = 0; row < of.rows; row++) seen |= sees(row, key);
      if (seen) continue;
      const float huge = of.format == PMLA_KV_E4M3 ? 448 : of.format == PMLA_KV_F16 ? 65504 : 3e38f;
      for (int d = 0; d < of.headDim; d++) keyValues[static_cast<size_t>(key) * of.headDim + d] = d % 2 ? huge : -huge;
    }
    q = encoded(of.dtype, queryValues);
    keys = encoded(of.format, keyValues);
    solve(queryValues, keyValues);
  }

  bool sees(int row, int key) const {
    size_t tile = 0;
    for (; key >= of.counts[tile]; tile++) key -= of.counts[tile];
    return visible[tile][row] >> key & 1;
  }

private:
  void makeMasks(std::mt19937 &random) {
    int first = 0;
    for (const int count : of.counts) {
      std::vector<uint64_t> rows(of.rows);
      for (int row = 0; row < of.rows; row++) {
        for (int key = 0; key < 64; key++) {
          const bool sees = of.mask == ALL         ? true
                            : of.mask == CAUSAL    ? first + key <= keyCount - of.rows + row
                            : of.mask == RANDOM    ? random() % 4 == 0 && key % 7 != 3
                            : of.mask == SOME_ROWS ? row % 3 == 1
                                                   : false;
          rows[row] |= static_cast<uint64_t>(sees) << key;
        }
      }
      visible.push_back(rows);
      first += count;
    }
  }

  void solve(const std::vector<float> &queries, const std::vector<float> &keyValues) {
    out.assign(static_cast<size_t>(of.rows) * of.valueDim, 0);
    lse.assign(of.rows, INF);
    max.assign(of.rows, -INF);
    std::vector<double> scores(keyCount);
    for (int row = 0; row < of.rows; row++) {
      for (int key = 0; key < keyCount; key++) {
        scores[key] = -INF;
        if (!sees(row, key)) continue;
        double dot = 0;
        const float *k = keyValues.data() + static_cast<size_t>(key) * of.headDim;
        const float *query = queries.data() + static_cast<size_t>(row) * of.headDim;
        for (int d = 0; d < of.headDim; d++) dot += static_cast<double>(query[d]) * k[d];
        scores[key] = dot * scale;
        max[row] = std::max(max[row], scores[key]);
      }
      if (max[row] == -INF) continue;
      double sum = 0;
      for (const double score : scores) sum += std::exp(score - max[row]);
      lse[row] = max[row] + std::log(sum);
      for (int key = 0; key < keyCount; key++) {
        const double weight = std::exp(scores[key] - lse[row]);
        if (weight == 0) continue;
        const float *k = keyValues.data() + static_cast<size_t>(key) * of.headDim;
        for (int d = 0; d < of.valueDim; d++) out[static_cast<size_t>(row) * of.valueDim + d] += weight * k[d];
      }
    }
  }
};

struct Tolerance {
  double outAbsolute, outRelative, outCosine, lseAbsolute, lseRelative;
};

/** For units that sum products of bf16 what FlashMLA (9241ae3) demands of its dense decode, for a spread of 0.1. */
Tolerance toleranceOf(const Kernels &kernels, const Case &of) {
  const double spread = of.spread;
  const bool bf16 = kernels.compute(of.dtype, of.format) == Compute::Bf16 && kernels.peakBf16(1e-6) > 0;
  if (bf16) return {8e-4 * spread / 0.1, 2.01 / 128, 5e-6, 1e-6, 8.01 / 65536};
  // Scores reach 4.5 spread². Three roundings of such a number are what sums over up to 192 dims, added up, come to (most of
  // their terms are rounded far below), two are those to powers of two and back. Outputs inherit the error: it moves weight
  // between values that lie about spread apart.
  const double score = std::max(1e-6, 5 * 0x1p-24 * 4.5 * spread * spread);
  return {score * spread, 1e-5, 1e-10, score, 1e-6};
}

bool near(double got, double wanted, double absolute, double relative) {
  if (std::isinf(wanted)) return got == wanted;
  return std::fabs(got - wanted) <= std::max(absolute, relative * std::fabs(wanted));
}

struct Result {
  std::vector<float> out, lse, max;
  bool operator==(const Result &) const = default;
};

constexpr int OUT_GAP = 5;

/** @param together whether all tiles go into one call */
Result attend(const Kernels &kernels, const Problem &problem, bool together, Compute compute) {
  const Case &of = problem.of;
  std::vector<const void *> rows;
  for (int row = 0; row < of.rows; row++) rows.push_back(problem.q.data() + row * of.headDim * sizeOf(of.dtype));
  const Queries queries = {rows.data(), of.dtype, of.rows, of.headDim, of.valueDim, problem.scale};

  // Tiles of their own memory, to the byte, so that reading behind one is an error for the address sanitizer; NaN
  // between keys; aligned to their numbers only.
  const size_t size = compute == Compute::F32 ? 4 : 2;
  const bool direct = kernels.direct(of.format, compute);
  const size_t tokenSize = of.headDim * sizeOf(of.format);
  const auto stride = static_cast<int64_t>(direct ? tokenSize + 6 * size : of.headDim * size);
  std::vector<Bytes> memory;
  std::vector<KeyTile> tiles;
  const std::byte *token = problem.keys.data();
  for (size_t t = 0; t < of.counts.size(); t++) {
    const int count = of.counts[t];
    Bytes &bytes = memory.emplace_back(size + stride * (count - 1) + (direct ? tokenSize : of.headDim * size), std::byte{0xff});
    std::byte *first = bytes.data() + size;
    std::vector<const std::byte *> tokens;
    for (int key = 0; key < count; key++, token += tokenSize) {
      if (direct) std::memcpy(first + key * stride, token, tokenSize);
      tokens.push_back(token);
    }
    if (!direct) kernels.gather({of.format, of.headDim, count, tokens.data(), nullptr}, compute, first);
    tiles.push_back({first, stride, count, of.mask == ALL ? nullptr : problem.visible[t].data()});
  }

  const size_t bytes = kernels.stateBytes(of.rows, of.headDim, of.valueDim, compute);
  Bytes stateMemory(bytes + 64, std::byte{0xff});
  std::byte *state = stateMemory.data() + (64 - reinterpret_cast<uintptr_t>(stateMemory.data()) % 64) % 64;
  kernels.begin(state, queries, compute);
  if (together) {
    kernels.attend(state, tiles.data(), static_cast<int>(tiles.size()), nullptr);
  } else {
    for (size_t t = 0; t < tiles.size(); t++) {
      kernels.attend(state, &tiles[t], 1, t + 1 < tiles.size() ? &tiles[t + 1] : nullptr);
    }
  }
  Result result = {std::vector<float>((of.valueDim + OUT_GAP) * of.rows, 1234), std::vector<float>(of.rows),
                   std::vector<float>(of.rows)};
  kernels.finish(state, result.out.data(), of.valueDim + OUT_GAP, result.lse.data(), result.max.data());
  for (size_t i = bytes; i < bytes + 64; i++) {
    if (state + i < stateMemory.data() + stateMemory.size() && state[i] != std::byte{0xff}) {
      fail("%s writes behind its state of %d rows, %d dims", kernels.name, of.rows, of.headDim);
      break;
    }
  }
  return result;
}

void check(const Kernels &kernels, const Problem &problem, Compute compute) {
  const Case &of = problem.of;
  const Tolerance tolerance = toleranceOf(kernels, of);
  const Result result = attend(kernels, problem, true, compute);
  const auto say = [&](const char *what, int row, double got, double wanted) {
    fail("%s: %s of row %d/%d is %.9g, not %.9g (%d/%d dims, mask %d, dtype %u, format %u, %d keys)", kernels.name, what,
         row, of.rows, got, wanted, of.headDim, of.valueDim, of.mask, of.dtype, of.format, problem.keyCount);
  };
  double dot = 0, gotSquares = 0, wantedSquares = 0;
  for (int row = 0; row < of.rows; row++) {
    const double lse = problem.lse[row], max = problem.max[row];
    if (!near(result.lse[row], lse, tolerance.lseAbsolute, tolerance.lseRelative)) say("lse", row, result.lse[row], lse);
    if (!near(result.max[row], max, tolerance.lseAbsolute, tolerance.lseRelative)) say("max", row, result.max[row], max);
    const float *got = result.out.data() + row * (of.valueDim + OUT_GAP);
    const double *wanted = problem.out.data() + static_cast<size_t>(row) * of.valueDim;
    for (int d = 0; d < of.valueDim; d++) {
      dot += got[d] * wanted[d];
      gotSquares += static_cast<double>(got[d]) * got[d];
      wantedSquares += wanted[d] * wanted[d];
      if (!near(got[d], wanted[d], tolerance.outAbsolute, tolerance.outRelative)) return say("out", row, got[d], wanted[d]);
    }
    for (int d = of.valueDim; d < of.valueDim + OUT_GAP; d++) {
      if (got[d] != 1234) return say("gap", row, got[d], 1234);
    }
  }
  if (wantedSquares > 0 && 1 - 2 * dot / (gotSquares + wantedSquares) > tolerance.outCosine) {
    say("cosine", 0, 2 * dot / (gotSquares + wantedSquares), 1);
  }
  if (attend(kernels, problem, false, compute) != result) fail("%s: bits depend on calls of attend", kernels.name);
}

/** NaN that a row sees stays NaN, and another row's result does not suffer from scores of its own. */
void checkNaN(const Kernels &kernels) {
  std::mt19937 random(1);
  for (const int rows : {1, 2, 20}) {
    Problem problem({PMLA_F32, PMLA_KV_F32, rows, 32, 16, {40}, ALL, 0.1f}, random);
    const Result clean = attend(kernels, problem, true, Compute::F32);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(problem.q.data() + 4 * 32 * (rows - 1), &nan, sizeof nan);
    const Result result = attend(kernels, problem, true, Compute::F32);
    for (int row = 0; row < rows; row++) {
      const bool seen = row == rows - 1;
      const float lse = result.lse[row], out = result.out[row * (16 + OUT_GAP)];
      const bool right = seen ? std::isnan(lse) && std::isnan(out)
                              : lse == clean.lse[row] && out == clean.out[row * (16 + OUT_GAP)];
      if (!right) fail("%s: NaN in row %d of %d gives %g, %g in row %d", kernels.name, rows - 1, rows, lse, out, row);
    }
  }
}

} // namespace

int main(int argc, char **argv) {
  const std::vector<const Kernels *> tested = kernelsUnderTest(argc, argv);
  const std::vector<std::pair<int, int>> dims = {{16, 16},   {32, 16},   {80, 48},   {192, 128}, {208, 208},
                                                 {320, 256}, {512, 512}, {576, 512}, {576, 576}, {576, 16}};
  const std::vector<std::vector<int>> counts = {{1},  {2, 1},  {3},        {7},       {13, 64}, {31},
                                                {64}, {63, 2}, {64, 64, 5}, {17, 40, 64, 33}};
  const std::vector<uint32_t> dtypes = {PMLA_BF16, PMLA_F16, PMLA_F32, PMLA_E4M3};
  std::mt19937 random(20261124);
  int number = 0;
  for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 20, 24, 31, 32, 33, 47, 63, 64, 65, 100, 127, 128}) {
    for (const auto &[headDim, valueDim] : dims) {
      // Two of the many combinations for each shape, such that all pairs of the rest come up.
      for (int repeat = 0; repeat < 2; repeat++, number++) {
        const uint32_t format = dtypes[random() % 4];
        const uint32_t dtype = random() % 3 > 0 ? format : dtypes[random() % 4];
        const float spread = number % 5 == 0 ? 3.0f : 0.1f;
        const auto mask = static_cast<int>(random() % MASKS);
        const Problem problem({dtype, format, rows, headDim, valueDim, counts[random() % counts.size()], mask, spread},
                              random);
        for (const Kernels *kernels : tested) {
          const Compute gathered = kernels->compute(dtype, format);
          const Compute inPlace = kernels->computeInPlace(dtype, format, rows);
          check(*kernels, problem, gathered);
          if (inPlace != gathered) check(*kernels, problem, inPlace);
        }
      }
    }
  }
  for (const Kernels *kernels : tested) checkNaN(*kernels);
  return finish();
}
