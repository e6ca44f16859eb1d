#include "ops-fixtures.h"

/* appendKv and copyPages: what they write, byte for byte, and that they write nothing else. */
using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

/** Nearest code to a double, ties to even, by trying all of them. */
uint32_t nearestCode(uint32_t dtype, double value) {
  const uint32_t codes = dtype == PMLA_E4M3 ? 0x7f : dtype == PMLA_F16 ? 0x7c01 : 0x7f81;
  const uint32_t sign = std::signbit(value) ? codes > 0x100 ? 0x8000 : 0x80 : 0;
  if (std::isnan(value)) return dtype == PMLA_E4M3 ? 0x7f : dtype == PMLA_F16 ? 0x7e00 : 0x7fc0;
  const double magnitude = std::fabs(value);
  uint32_t low = 0;
  uint32_t high = codes - 1; // the largest finite number, or infinity
  while (low < high) {
    const uint32_t middle = (low + high + 1) / 2;
    if (valueOf(dtype, middle) <= magnitude) low = middle;
    else high = middle - 1;
  }
  if (low == codes - 1) return sign | low;
  // Infinity counts as the number that would follow the largest.
  const double next = std::isinf(valueOf(dtype, low + 1)) ? 2 * valueOf(dtype, low) - valueOf(dtype, low - 1)
                                                          : valueOf(dtype, low + 1);
  const double below = magnitude - valueOf(dtype, low);
  const double above = next - magnitude;
  return sign | (below < above || (below == above && low % 2 == 0) ? low : low + 1);
}

void expectCode(uint32_t dtype, double value, const std::byte *found, const char *what) {
  uint32_t code = 0;
  std::memcpy(&code, found, static_cast<size_t>(elementBytes(dtype)));
  if (dtype == PMLA_F32) {
    const auto single = static_cast<float>(value);
    if (std::memcmp(&single, found, 4) != 0 && !(std::isnan(value) && std::isnan(get(dtype, found))))
      fail("%s: %a", what, value);
  } else if (code != nearestCode(dtype, value)) {
    fail("%s: %a became %x, expected %x", what, value, code, nearestCode(dtype, value));
  }
}

/** Smallest power of two that is ≥ magnitude / 448, between 2^−126 and 2^127. */
double scaleOf(const double *key, int64_t count, double least) {
  double largest = least;
  for (int64_t i = 0; i < count; i++) {
    if (std::isfinite(key[i])) largest = std::max(largest, std::fabs(key[i]));
  }
  int exponent = -126;
  while (exponent < 127 && std::ldexp(448.0, exponent) < largest) exponent++;
  return std::ldexp(1.0, exponent);
}

void expectToken(Cache &cache, int64_t slot, int64_t head, const std::vector<double> &key, double descale) {
  const pmla_kv_layout &layout = cache.layout;
  const int64_t page = slot / layout.page_size;
  const int64_t offset = slot % layout.page_size;
  const bool packed = layout.format >= PMLA_KV_FP8_656;
  std::byte *start = cache.data() + page * layout.page_stride * (packed ? 1 : elementBytes(layout.format));
  if (!packed) {
    for (int64_t d = 0; d < layout.head_dim; d++) {
      const int64_t at = (offset * layout.heads_kv + head) * layout.head_dim + d;
      const double value = key[static_cast<size_t>(d)] / (layout.format == PMLA_KV_E4M3 ? descale : 1);
      expectCode(layout.format, value, start + at * elementBytes(layout.format), "a plain cache");
    }
    return;
  }
  const bool is656 = layout.format == PMLA_KV_FP8_656;
  const int64_t group = is656 ? 128 : 64;
  const int64_t groups = is656 ? 4 : 7;
  const std::byte *token = start + offset * (is656 ? 656 : 576);
  const std::byte *scales = is656 ? token + 512 : start + layout.page_size * 576 + offset * 8;
  for (int64_t g = 0; g < groups; g++) {
    const double scale = scaleOf(key.data() + g * group, group, is656 ? 0 : 1e-4);
    const double found =
        is656 ? get(PMLA_F32, scales + 4 * g) : std::ldexp(1.0, static_cast<int>(scales[g]) - 127);
    if (found != scale) fail("format %u: a scale is %a, expected %a", layout.format, found, scale);
    for (int64_t d = g * group; d < (g + 1) * group; d++) {
      expectCode(PMLA_E4M3, key[static_cast<size_t>(d)] / scale, token + d, "latent");
    }
  }
  for (int64_t d = 0; d < 64; d++) {
    expectCode(PMLA_BF16, key[static_cast<size_t>(groups * group + d)], token + (is656 ? 528 : 448) + 2 * d,
               "rope");
  }
  if (!is656 && scales[7] != std::byte{0}) fail("the pad byte is not 0");
}

/** Numbers of every size, and some that are none. */
double wild(Generator &random) {
  const int64_t kind = integer(random, 0, 40);
  if (kind == 0) return std::numeric_limits<double>::quiet_NaN();
  if (kind == 1) return integer(random, 0, 1) == 0 ? HUGE_VAL : -HUGE_VAL;
  const int exponent =
      kind < 4 ? static_cast<int>(integer(random, -140, 120)) : static_cast<int>(integer(random, -12, 3));
  return std::ldexp(static_cast<double>(integer(random, -0xffffff, 0xffffff)), exponent - 23);
}

void checkAppend(const Kernels &kernels, uint32_t format, uint32_t dtype, uint32_t rotary,
                 Generator &random) {
  constexpr int64_t TOKENS = 21, TABLE = 5;
  const bool packed = format >= PMLA_KV_FP8_656;
  const int64_t headsKv = packed ? 1 : 2;
  const int64_t headDim = format == PMLA_KV_FP8_656 ? 576 : format == PMLA_KV_FP8_584 ? 512 : 48;
  const int64_t ropeDim = packed ? 64 : 16;
  const int64_t latentDim = headDim - ropeDim;
  const double descale = format == PMLA_KV_E4M3 ? 0.3 : 1;
  Cache cache(format, 3, 7, headsKv, headDim, 6);
  const Bytes before(cache.data(), cache.data() + cache.bytesInAll());

  Bytes inputs(static_cast<size_t>(TOKENS * headsKv * headDim * elementBytes(dtype)));
  std::vector<double> values; // [tokens, headsKv, headDim], as the dtype holds them
  for (int64_t i = 0; i < TOKENS * headsKv * headDim; i++) {
    put(dtype, wild(random), inputs.data() + i * elementBytes(dtype));
    values.push_back(get(dtype, inputs.data() + i * elementBytes(dtype)));
  }
  std::vector<float> table;
  for (int64_t i = 0; i < TABLE * ropeDim; i++) table.push_back(static_cast<float>(std::sin(i)));
  std::vector<int32_t> slots(TOKENS);
  std::iota(slots.begin(), slots.end(), 0);
  std::shuffle(slots.begin(), slots.end(), random);
  slots[3] = -1, slots[5] = 21, slots[8] = INT32_MAX, slots[20] = INT32_MIN;
  std::vector<int32_t> positions;
  for (int64_t token = 0; token < TOKENS; token++) positions.push_back(static_cast<int32_t>(token % TABLE));
  positions[6] = -1, positions[9] = TABLE;

  const pmla_append_kv_problem problem = {sizeof problem, PMLA_OP_APPEND_KV, dtype, rotary,
                                          TOKENS,         ropeDim,           TABLE, cache.layout};
  const pmla_append_kv_args args = {sizeof args,
                                    0,
                                    TOKENS,
                                    inputs.data(),
                                    {headsKv * headDim, headDim},
                                    inputs.data() + latentDim * elementBytes(dtype),
                                    {headsKv * headDim, headDim},
                                    slots.data(),
                                    positions.data(),
                                    table.data(),
                                    cache.data(),
                                    descale,
                                    nullptr};
  const OpFit fit = fitOp(kernels, reinterpret_cast<const pmla_problem *>(&problem));
  run(*makePlan(kernels, reinterpret_cast<const pmla_problem *>(&problem))->launch(&args), fit.scratchBytes,
      random);

  Bytes untouched(before.size(), std::byte{1});
  for (int64_t token = 0; token < TOKENS; token++) {
    const int32_t slot = slots[static_cast<size_t>(token)];
    const int32_t position = positions[static_cast<size_t>(token)];
    const bool skipped =
        slot < 0 || slot >= 21 || (rotary != PMLA_ROTARY_NONE && (position < 0 || position >= TABLE));
    for (int64_t head = 0; head < headsKv && !skipped; head++) {
      const auto first = values.begin() + (token * headsKv + head) * headDim;
      std::vector<double> key(first, first + headDim);
      for (int64_t i = 0; i < ropeDim / 2 && rotary != PMLA_ROTARY_NONE; i++) {
        const bool interleaved = rotary == PMLA_ROTARY_INTERLEAVED;
        double &x = key[static_cast<size_t>(latentDim + (interleaved ? 2 * i : i))];
        double &y = key[static_cast<size_t>(latentDim + (interleaved ? 2 * i + 1 : i + ropeDim / 2))];
        const double c = table[static_cast<size_t>(position * ropeDim + i)];
        const double s = table[static_cast<size_t>(position * ropeDim + ropeDim / 2 + i)];
        const double turned[] = {x * c - y * s, y * c + x * s};
        x = turned[0], y = turned[1];
      }
      expectToken(cache, slot, head, key, descale);
    }
    if (!skipped) cache.mark(slot, untouched);
  }
  for (size_t i = 0; i < before.size(); i++) {
    if (untouched[i] == std::byte{1} && cache.data()[i] != before[i])
      return fail("format %u: wrote where no token is", format);
  }
}

void checkCopy(const Kernels &kernels, uint32_t format, Generator &random) {
  const int64_t headDim = format == PMLA_KV_FP8_656 ? 576 : format == PMLA_KV_FP8_584 ? 512 : 48;
  Cache cache(format, 6, 3, format >= PMLA_KV_FP8_656 ? 1 : 2, headDim, 10);
  const auto stride = static_cast<int64_t>(cache.bytesInAll() / 6);
  const int64_t page = stride - 10 * (format >= PMLA_KV_FP8_656 ? 1 : elementBytes(format));
  for (int64_t i = 0; i < 6 * stride; i++) cache.data()[i] = static_cast<std::byte>(i / stride);
  const int32_t pairs[] = {5, 0, 1, 6, -1, 1, 4, INT32_MIN, 3, 2, 4, 4};
  const pmla_copy_pages_problem problem = {sizeof problem, PMLA_OP_COPY_PAGES, 8, cache.layout};
  const pmla_copy_pages_args args = {sizeof args, 0, 6, cache.data(), pairs, nullptr};
  run(*makePlan(kernels, reinterpret_cast<const pmla_problem *>(&problem))->launch(&args), 0, random);
  const int expected[] = {5, 1, 3, 3, 4, 5};
  for (int64_t i = 0; i < 6 * stride; i++) {
    const int64_t at = i / stride;
    const auto wanted = static_cast<std::byte>(i % stride < page ? expected[at] : static_cast<int>(at));
    if (cache.data()[i] != wanted) return fail("format %u: byte %ld of page %ld", format, i % stride, at);
  }
}

} // namespace

int main(int argc, char **argv) {
  Generator random(4);
  for (const Kernels *kernels : kernelsUnderTest(argc, argv)) {
    for (uint32_t format = PMLA_KV_BF16; format <= PMLA_KV_FP8_584; format++) {
      for (uint32_t dtype = PMLA_BF16; dtype <= PMLA_F32; dtype++) {
        for (uint32_t rotary = PMLA_ROTARY_NONE; rotary <= PMLA_ROTARY_NEOX; rotary++) {
          checkAppend(*kernels, format, dtype, rotary, random);
        }
      }
      checkCopy(*kernels, format, random);
    }
  }
  return finish();
}
