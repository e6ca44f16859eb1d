#include "append-kv.h"

#include "../dialect/launch.h"
#include "cache-layout.h"
#include "chunks.h"

namespace polymla {
namespace {

constexpr int mostThreads = 128;

/** One token of one KV head. */
struct Source {
  const void* latent;
  const void* rope;
  const float* cosines;  ///< and sines after them; null: no rotation
  int latentDim;
  int ropeDim;
  uint32_t dtype;
  bool neox;

  /** Number `dim` of the rope part, rotated: in doubles, without fused multiply-adds, as core does it. */
  PMLA_DEVICE double ropeAt(int dim) const {
    if (cosines == nullptr) return loadNumber(rope, dtype, dim);
    const int pairs = ropeDim / 2;
    const int pair = neox ? dim % pairs : dim / 2;
    const bool isSecond = neox ? dim >= pairs : dim % 2 != 0;
    const double x = loadNumber(rope, dtype, neox ? pair : 2 * pair);
    const double y = loadNumber(rope, dtype, neox ? pair + pairs : 2 * pair + 1);
    const double c = cosines[pair];
    const double s = cosines[pairs + pair];
    return isSecond ? sum(product(y, c), product(x, s)) : sum(product(x, c), -product(y, s));
  }

  /** Numbers of the key from `dim` on; zeros past its end. */
  PMLA_DEVICE void load(int dim, double (&values)[chunkValues]) const {
    if (dim + chunkValues <= latentDim) {
      float numbers[chunkValues];
      loadChunk(latent, dtype, dim, numbers);
PMLA_UNROLL
      for (int i = 0; i < chunkValues; i++) values[i] = numbers[i];
      return;
    }
PMLA_UNROLL
    for (int i = 0; i < chunkValues; i++) {
      const int at = dim + i;
      values[i] = at < latentDim ? loadNumber(latent, dtype, at) : at < latentDim + ropeDim ? ropeAt(at - latentDim) : 0;
    }
  }
};

PMLA_DEVICE void storeE4m3(void* to, const double (&values)[chunkValues], double factor) {
  uint8_t codes[chunkValues];
PMLA_UNROLL
  for (int i = 0; i < chunkValues; i++) codes[i] = encodeE4m3(values[i] * factor);
  storeCodes(to, codes);
}

/** Scale exponent of the group that `lanes` neighbouring lanes hold; infinities and NaN do not count. By a whole block. */
PMLA_DEVICE int groupExponent(const double (&values)[chunkValues], int lanes, double floor) {
  double largest = floor;
PMLA_UNROLL
  for (int i = 0; i < chunkValues; i++) {
    const double magnitude = fabs(values[i]);
    if (magnitude > largest && magnitude < INFINITY) largest = magnitude;
  }
  for (int step = lanes / 2; step > 0; step /= 2) largest = fmax(largest, shuffleXor(largest, step));
  return scaleExponent(largest);
}

/** 512 e4m3, 4 fp32 scales (one per 128), 64 bf16 (FlashMLA 9241ae3). By a whole block. */
PMLA_DEVICE void store656(uint8_t* to, int dim, const double (&values)[chunkValues]) {
  constexpr int latent = 512, group = 128, rope = latent + 4 * latent / group;
  const int exponent = groupExponent(values, group / chunkValues, 0);
  if (dim >= latent) {
    if (dim < latent + 64) storeChunk(to + rope + 2 * (dim - latent), PMLA_BF16, values);
    return;
  }
  storeE4m3(to + dim, values, powerOfTwo(-exponent));
  if (dim % group != 0) return;
  const auto scale = static_cast<float>(powerOfTwo(exponent));
  for (int i = 0; i < 4; i++) to[latent + dim / group * 4 + i] = static_cast<uint8_t>(bitsOf(scale) >> 8 * i);
}

/** 448 e4m3, 64 bf16; apart from them 7 e8m0 scales (one per 64), a 0. FlashMLA 9241ae3; floor of DeepSeek-V3.2-Exp's act_quant. By a whole block. */
PMLA_DEVICE void store584(uint8_t* to, uint8_t* scales, int dim, const double (&values)[chunkValues]) {
  constexpr int latent = 448, group = 64;
  const int exponent = groupExponent(values, group / chunkValues, 1e-4);
  if (dim >= latent) {
    storeChunk(to + latent + 2 * (dim - latent), PMLA_BF16, values);
    if (dim == latent) scales[latent / group] = 0;
    return;
  }
  storeE4m3(to + dim, values, powerOfTwo(-exponent));
  if (dim % group == 0) scales[dim / group] = static_cast<uint8_t>(exponent + 127);
}

/** A block per token and KV head, a thread per chunk. */
PMLA_KERNEL(mostThreads)
appendKv(const pmla_append_kv_problem problem, const pmla_append_kv_args args, const CacheLayout cache) {
  const int64_t heads = problem.cache.heads_kv;
  const int headDim = static_cast<int>(problem.cache.head_dim);
  const int size = problem.dtype == PMLA_F32 ? 4 : 2;
  const bool rotates = problem.rotary != PMLA_ROTARY_NONE;
  for (int64_t row = blockIndex(); row < args.tokens * heads; row += blockCount()) {
    const int64_t token = row / heads;
    const int64_t head = row % heads;
    const int64_t slot = args.slots[token];
    const int64_t position = rotates ? args.positions[token] : 0;
    if (!cache.hasToken(slot) || (rotates && (position < 0 || position >= problem.table_length))) continue;

    Source source;
    source.latent = static_cast<const char*>(args.latent) + (token * args.latent_strides[0] + head * args.latent_strides[1]) * size;
    source.rope = static_cast<const char*>(args.rope_key) + (token * args.rope_key_strides[0] + head * args.rope_key_strides[1]) * size;
    source.cosines = rotates ? args.rotary_table + position * problem.rope_dim : nullptr;
    source.ropeDim = static_cast<int>(problem.rope_dim);
    source.latentDim = headDim - source.ropeDim;
    source.dtype = problem.dtype;
    source.neox = problem.rotary == PMLA_ROTARY_NEOX;
    uint8_t* const to = static_cast<uint8_t*>(args.cache) + cache.tokenAt(slot) + head * cache.headStride;

    // The whole block: threads past the end help to find the scale of what their neighbours hold.
    for (int begin = 0; begin < headDim; begin += blockThreads() * chunkValues) {
      const int dim = begin + threadIndex() * chunkValues;
      double values[chunkValues];
      source.load(dim, values);
      switch (problem.cache.format) {
        case PMLA_KV_FP8_656:
          store656(to, dim, values);
          break;
        case PMLA_KV_FP8_584:
          store584(to, static_cast<uint8_t*>(args.cache) + cache.scalesAt(slot), dim, values);
          break;
        case PMLA_KV_E4M3:
          if (dim >= headDim) break;
PMLA_UNROLL
          for (double& value : values) value /= args.descale_k;
          storeE4m3(to + dim, values, 1);
          break;
        case PMLA_KV_F32:
          if (dim < headDim) storeChunk(to + 4 * dim, PMLA_F32, values);
          break;
        default:
          if (dim < headDim) storeChunk(to + 2 * dim, problem.cache.format == PMLA_KV_BF16 ? PMLA_BF16 : PMLA_F16, values);
      }
    }
  }
}

}  // namespace

void launchAppendKv(const pmla_append_kv_problem& problem, const pmla_append_kv_args& args, rt::Stream stream) {
  const int threads = rowThreads(problem.cache.head_dim / chunkValues, mostThreads);
  launchKernel(appendKv, "append_kv", args.tokens * problem.cache.heads_kv, threads, 0, stream, problem, args, CacheLayout(problem.cache));
}

}  // namespace polymla
