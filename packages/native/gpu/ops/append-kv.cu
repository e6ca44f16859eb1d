#include "append-kv.h"

#include "cache-layout.h"
#include "rows.h"

namespace polymla {
namespace {

/** Numbers that a format keeps as e4m3 with scales of its own, and how many share one; others follow as bf16. */
template <uint32_t format>
constexpr int scaledDims = format == PMLA_KV_FP8_656 ? 512 : format == PMLA_KV_FP8_584 ? 448 : 0;
template <uint32_t format>
constexpr int groupDims = format == PMLA_KV_FP8_656 ? 128 : 64;
/** Magnitude below which a group is not scaled up further. */
template <uint32_t format>
constexpr float leastMagnitude = format == PMLA_KV_FP8_584 ? 1e-4f : 0;
/** How a format keeps numbers without scales of its own; not of e4m3. */
template <uint32_t format>
constexpr uint32_t plainType = format == PMLA_KV_F32 ? PMLA_F32 : format == PMLA_KV_F16 ? PMLA_F16 : PMLA_BF16;

/** Where number `dim` of a row lies. */
template <uint32_t format>
PMLA_DEVICE int byteAt(int dim) {
  constexpr int scaled = scaledDims<format>;
  constexpr int scales = format == PMLA_KV_FP8_656 ? 4 * scaled / groupDims<format> : 0;
  if (scaled > 0) return dim < scaled ? dim : scaled + scales + 2 * (dim - scaled);
  return dim * (format == PMLA_KV_E4M3 ? 1 : format == PMLA_KV_F32 ? 4 : 2);
}

/** The latent part and the rope part of a row. */
template <uint32_t dtype>
struct Source {
  const char* latent;
  const char* rope;
  const float* cosines;  ///< and sines after them; null: no rotation
  int latentDim;
  int ropeDim;
  bool neox;

  PMLA_DEVICE int firstOf(int pair) const { return neox ? pair : 2 * pair; }
  PMLA_DEVICE int secondOf(int pair) const { return neox ? pair + ropeDim / 2 : 2 * pair + 1; }

  /** A pair of the rope part, rotated: in doubles, without fused multiply-adds, as core does it. */
  PMLA_DEVICE void loadPair(int pair, double& first, double& second) const {
    const double x = loadNumber(rope, dtype, firstOf(pair));
    const double y = loadNumber(rope, dtype, secondOf(pair));
    first = x, second = y;
    if (cosines == nullptr) return;
    const double c = cosines[pair];
    const double s = cosines[ropeDim / 2 + pair];
    first = sum(product(x, c), -product(y, s));
    second = sum(product(y, c), product(x, s));
  }

  PMLA_DEVICE double numberAt(int dim) const {
    if (dim < latentDim) return loadNumber(latent, dtype, dim);
    const int at = dim - latentDim;
    const int pair = neox ? at % (ropeDim / 2) : at / 2;
    double first, second;
    loadPair(pair, first, second);
    return firstOf(pair) == at ? first : second;
  }
};

/** Where a row goes. */
template <uint32_t format>
struct Target {
  uint8_t* row;
  uint8_t* scales;  ///< of the format that has them apart
  E4m3Divisor divisor;

  using Code = std::conditional_t<format == PMLA_KV_E4M3, uint8_t, std::conditional_t<format == PMLA_KV_F32, float, uint16_t>>;

  /** Code of a number that has no scale of its own. */
  PMLA_DEVICE Code codeOf(double value) const {
    if constexpr (format == PMLA_KV_E4M3) return encodeE4m3(divisor.quotient(value));
    if constexpr (plainType<format> == PMLA_F32) return static_cast<float>(value);
    return plainType<format> == PMLA_BF16 ? encodeBf16(value) : encodeF16(value);
  }

  /** Stores codes of neighbours, unless they have a scale of their own. */
  template <int count>
  PMLA_DEVICE void store(int dim, const Code (&codes)[count]) const {
    if (dim >= scaledDims<format>) storeCodes(row + byteAt<format>(dim), codes);
  }
};

/** Scale exponent of the group that `lanes` neighbouring lanes hold, of which each knows its largest magnitude. By a whole block. */
template <class Number>
PMLA_DEVICE int groupExponent(Number largest, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) largest = fmax(largest, shuffleXor(largest, step));
  return scaleExponent(largest);
}

/** The larger one of a largest magnitude and that of a number; infinities and NaN do not count. */
template <class Number>
PMLA_DEVICE Number largerOf(Number largest, Number value) {
  return fabs(value) < INFINITY ? fmax(largest, fabs(value)) : largest;
}

/**
 * `fp8-656`: 512 e4m3, 4 fp32 scales (one per 128), 64 bf16 (FlashMLA 9241ae3).
 * `fp8-584`: 448 e4m3, 64 bf16; apart from them 7 e8m0 scales (one per 64), a 0 (FlashMLA 9241ae3; floor of DeepSeek-V3.2-Exp's act_quant).
 */
template <uint32_t format>
PMLA_DEVICE void storeScale(const Target<format>& to, int group, int exponent) {
  if (format == PMLA_KV_FP8_656) {
    const float scale[1] = {floatOf(static_cast<uint32_t>(127 + exponent) << 23)};
    storeCodes(to.row + scaledDims<format> + 4 * group, scale);
  } else {
    to.scales[group] = static_cast<uint8_t>(exponent + 127);
    if (group == 0) to.scales[scaledDims<format> / groupDims<format>] = 0;
  }
}

/** Stores a chunk as e4m3, each number by a function of it. */
template <class Each>
PMLA_DEVICE void storeE4m3(uint8_t* to, const float (&values)[chunkValues], Each&& each) {
  float scaled[chunkValues];
PMLA_UNROLL
  for (int i = 0; i < chunkValues; i++) scaled[i] = each(values[i]);
  uint32_t codes[chunkValues / 4];
  encodeE4m3(scaled, codes);
  storeCodes(to, codes);
}

/** Stores a chunk of the latent part as e4m3 with scales of their own. By a whole block; `isThere`: of this thread. */
template <uint32_t format>
PMLA_DEVICE void storeScaled(const Target<format>& to, int dim, const float (&values)[chunkValues], bool isThere) {
  float largest = leastMagnitude<format>;
PMLA_UNROLL
  for (int i = 0; i < chunkValues; i++) largest = fmaxf(largest, fabs(values[i]));
  if (largest == INFINITY) {
    largest = leastMagnitude<format>;
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) largest = largerOf(largest, values[i]);
  }
  const int exponent = groupExponent(largest, groupDims<format> / chunkValues);
  if (!isThere) return;
  // Products are exact, or too small for any code but 0.
  const float factor = floatOf(static_cast<uint32_t>(127 - exponent) << 23);
  storeE4m3(to.row + dim, values, [&](float value) { return value * factor; });
  if (dim % groupDims<format> == 0) storeScale(to, dim / groupDims<format>, exponent);
}

/** The same where rotated numbers are among them: in doubles, and one number after the other. */
template <int rowLanes, uint32_t format, uint32_t dtype>
PMLA_DEVICE void storeScaledRope(const Target<format>& to, const Source<dtype>& from, int lane, bool isThere) {
  for (int begin = 0; begin < scaledDims<format>; begin += span<rowLanes>) {
    const int dim = begin + lane * chunkValues;
    const int end = isThere && dim < scaledDims<format> ? dim + chunkValues : dim;
    double largest = leastMagnitude<format>;
#pragma unroll 1
    for (int i = dim; i < end; i++) largest = largerOf(largest, from.numberAt(i));
    const int exponent = groupExponent(largest, groupDims<format> / chunkValues);
#pragma unroll 1
    for (int i = dim; i < end; i++) to.row[i] = encodeE4m3(from.numberAt(i) * powerOfTwo(-exponent));
    if (dim < end && dim % groupDims<format> == 0) storeScale(to, dim / groupDims<format>, exponent);
  }
}

/** Stores a chunk of the latent part that has no scale of its own. */
template <uint32_t format, uint32_t dtype>
PMLA_DEVICE void storePlain(const Target<format>& to, int dim, const Chunk<dtype>& chunk) {
  uint8_t* const at = to.row + byteAt<format>(dim);
  float values[chunkValues];
  chunk.decode(values);
  if (format == PMLA_KV_E4M3) {
    const E4m3Divisor& by = to.divisor;
    if (by.isPower) {
      storeE4m3(at, values, [&](float value) { return value * by.inverse; });
    } else if (by.sides == 0) {
      storeE4m3(at, values, [&](float value) { return by.rounded<false>(value); });
    } else {
      storeE4m3(at, values, [&](float value) { return by.rounded<true>(value); });
    }
  } else if (dtype == PMLA_BF16 ? format == PMLA_KV_BF16 : dtype == PMLA_F16 && format == PMLA_KV_F16) {
    uint32_t codes[Chunk<dtype>::words];
PMLA_UNROLL
    for (int i = 0; i < Chunk<dtype>::words; i++) {
      codes[i] = dtype == PMLA_BF16 ? withOneNan<0x7f80, 0x7fc0>(chunk.word[i]) : withOneNan<0x7c00, 0x7e00>(chunk.word[i]);
    }
    storeCodes(at, codes);
  } else {
    storeNumbers(at, plainType<format>, values);
  }
}

template <int rowLanes, uint32_t format, uint32_t dtype>
PMLA_DEVICE void storeRope(const Target<format>& to, const Source<dtype>& from, int lane) {
  for (int pair = lane; pair < from.ropeDim / 2; pair += rowLanes) {
    double first, second;
    from.loadPair(pair, first, second);
    const typename Target<format>::Code codes[] = {to.codeOf(first), to.codeOf(second)};
    if (from.neox) {
      to.store(from.latentDim + from.firstOf(pair), {codes[0]});
      to.store(from.latentDim + from.secondOf(pair), {codes[1]});
    } else {
      to.store(from.latentDim + from.firstOf(pair), codes);
    }
  }
}

/** Stores what is left of a latent part from `begin` on, one number after the other. */
template <int rowLanes, uint32_t format, uint32_t dtype>
PMLA_DEVICE void storeEnd(const Target<format>& to, const Source<dtype>& from, int begin, int lane) {
#pragma unroll 1
  for (int dim = begin + lane; dim < from.latentDim; dim += rowLanes) to.store(dim, {to.codeOf(loadNumber(from.latent, dtype, dim))});
}

/** Blocks that share a multiprocessor at least: e4m3 takes more registers than is good for it, but none is spilled for 8. */
template <uint32_t format, uint32_t dtype, int rowLanes>
constexpr int heldBlocks = format == PMLA_KV_E4M3 && dtype != PMLA_F32 && rowLanes == 16 ? 8 : 1;

template <uint32_t format, uint32_t dtype, int rowLanes>
PMLA_KERNEL_HELD(rowsThreads, (heldBlocks<format, dtype, rowLanes>))
appendKv(PMLA_PARAM pmla_append_kv_problem problem, PMLA_PARAM pmla_append_kv_args args, PMLA_PARAM CacheLayout cache,
         PMLA_PARAM E4m3Divisor divisor) {
  constexpr int size = Chunk<dtype>::elementBytes;
  constexpr int step = span<rowLanes>;
  const int lane = threadIndex() % rowLanes;
  const int64_t heads = problem.cache.heads_kv;
  const int64_t rows = args.tokens * heads;
  const bool rotates = problem.rotary != PMLA_ROTARY_NONE;
  // All groups of a block take the same steps, for they meet at shuffles: one without a row, too, and one whose row is skipped.
  for (int64_t first = blockIndex() * blockRows<rowLanes>; first < rows; first += blockCount() * blockRows<rowLanes>) {
    const int64_t own = first + threadIndex() / rowLanes;
    const int64_t row = min(own, rows - 1);
    const int64_t token = heads == 1 ? row : row / heads;
    const int64_t head = row - token * heads;
    const int slot = args.slots[token];
    const int64_t position = rotates ? args.positions[token] : 0;
    const bool isThere = own < rows && cache.hasToken(slot) && (!rotates || (position >= 0 && position < problem.table_length));

    Source<dtype> from;
    from.latent = static_cast<const char*>(args.latent) + (token * args.latent_strides[0] + head * args.latent_strides[1]) * size;
    from.rope = static_cast<const char*>(args.rope_key) + (token * args.rope_key_strides[0] + head * args.rope_key_strides[1]) * size;
    from.cosines = rotates ? args.rotary_table + position * problem.rope_dim : nullptr;
    from.ropeDim = static_cast<int>(problem.rope_dim);
    from.latentDim = static_cast<int>(problem.cache.head_dim) - from.ropeDim;
    from.neox = problem.rotary == PMLA_ROTARY_NEOX;
    uint8_t* const memory = static_cast<uint8_t*>(args.cache);
    // In 32 bits, as slots are; no page is larger than all of them.
    const auto pageSize = static_cast<uint32_t>(min(cache.pageSize, int64_t{1} << 31));
    const uint32_t page = static_cast<uint32_t>(slot) / pageSize;
    const uint32_t offset = static_cast<uint32_t>(slot) % pageSize;
    const Target<format> to{memory + cache.tokenAt(page, offset) + head * cache.headStride, memory + cache.scalesAt(page, offset), divisor};

    if (from.latentDim < scaledDims<format>) {
      storeScaledRope<rowLanes>(to, from, lane, isThere);
      if (isThere) storeRope<rowLanes>(to, from, lane);
      continue;
    }
    // Not those that doubles divide.
    const int chunkEnd = format == PMLA_KV_E4M3 && divisor.inverse == 0 ? 0 : from.latentDim - from.latentDim % chunkValues;
    for (int begin = 0; begin == 0 || begin < chunkEnd; begin += spans<rowLanes> * step) {
      Chunk<dtype> chunks[spans<rowLanes>];
PMLA_UNROLL
      for (int i = 0; i < spans<rowLanes>; i++) {
        const int dim = begin + i * step + lane * chunkValues;
        if (dim < chunkEnd) chunks[i].load(from.latent + int64_t{dim} * size);
      }
      // While they are on their way.
      if (begin == 0 && isThere) storeRope<rowLanes>(to, from, lane);
PMLA_UNROLL
      for (int i = 0; i < spans<rowLanes>; i++) {
        const int dim = begin + i * step + lane * chunkValues;
        const bool isOwn = isThere && dim < chunkEnd;
        if (begin + i * step < scaledDims<format>) {
          float values[chunkValues];
          chunks[i].decode(values);
          storeScaled(to, dim, values, isOwn && dim < scaledDims<format>);
        }
        if (isOwn && dim >= scaledDims<format>) storePlain(to, dim, chunks[i]);
      }
    }
    if (isThere) storeEnd<rowLanes>(to, from, chunkEnd, lane);
  }
}

template <uint32_t format, uint32_t dtype>
void launchOf(const pmla_append_kv_problem& problem, const pmla_append_kv_args& args, rt::Stream stream) {
  launchRows(appendKv<format, dtype, 32>, appendKv<format, dtype, 16>, "append_kv", args.tokens * problem.cache.heads_kv, stream, problem, args,
             CacheLayout(problem.cache), E4m3Divisor(args.descale_k));
}

template <uint32_t format>
void launchFormat(const pmla_append_kv_problem& problem, const pmla_append_kv_args& args, rt::Stream stream) {
  switch (problem.dtype) {
    case PMLA_BF16: return launchOf<format, PMLA_BF16>(problem, args, stream);
    case PMLA_F16: return launchOf<format, PMLA_F16>(problem, args, stream);
    default: return launchOf<format, PMLA_F32>(problem, args, stream);
  }
}

}  // namespace

void launchAppendKv(const pmla_append_kv_problem& problem, const pmla_append_kv_args& args, rt::Stream stream) {
  switch (problem.cache.format) {
    case PMLA_KV_F16: return launchFormat<PMLA_KV_F16>(problem, args, stream);
    case PMLA_KV_F32: return launchFormat<PMLA_KV_F32>(problem, args, stream);
    case PMLA_KV_E4M3: return launchFormat<PMLA_KV_E4M3>(problem, args, stream);
    case PMLA_KV_FP8_656: return launchFormat<PMLA_KV_FP8_656>(problem, args, stream);
    case PMLA_KV_FP8_584: return launchFormat<PMLA_KV_FP8_584>(problem, args, stream);
    default: return launchFormat<PMLA_KV_BF16>(problem, args, stream);
  }
}

}  // namespace polymla
