#include "problem.cuh"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "../src/host/cost-model.h"

namespace polymla::test {
namespace {

/** A well-mixed 64-bit hash (the finaliser of splitmix64). */
__device__ uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

__device__ float sample(uint64_t seed, uint64_t index) {
  const uint64_t bits = mix(seed * 0x100000001b3ull ^ mix(index));
  const float u = (static_cast<float>(bits >> 40) + 1) * 0x1p-24f;
  const float angle = static_cast<float>(bits & 0xffffff) * 0x1p-24f;
  const float normal = sqrtf(-2 * logf(u)) * cospif(2 * angle);
  return fminf(fmaxf(normal / 10, -1.0f), 1.0f);
}

__global__ void fillRandom(__nv_bfloat16* data, int64_t count, uint64_t seed) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    data[i] = __float2bfloat16(sample(seed, i));
  }
}

/** Grid: a CTA per table entry; pages outside the cache are left out. */
__global__ void fillPages(__nv_bfloat16* cache, const int32_t* table, const int32_t* lengths, int width, int pages,
                          int tokenValues, uint64_t seed) {
  const int request = blockIdx.x / width;
  const int first = blockIdx.x % width * pageTokens;
  const int64_t count = static_cast<int64_t>(min(lengths[request] - first, pageTokens)) * tokenValues;
  if (count <= 0) return;
  const int page = table[blockIdx.x];
  if (page < 0 || page >= pages) return;
  const int64_t base = static_cast<int64_t>(page) * pageTokens * tokenValues;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) cache[base + i] = __float2bfloat16(sample(seed, base + i));
}

}  // namespace

std::string Shape::describe() const {
  const auto [low, high] = std::minmax_element(lengths.begin(), lengths.end());
  return "b" + std::to_string(lengths.size()) + " s_q" + std::to_string(queryTokens) + " len" + std::to_string(*low) +
         ".." + std::to_string(*high) + " h_q" + std::to_string(headsQ) + " h_kv" + std::to_string(headsKv) +
         (causal ? " causal" : "") + (holes ? " holes" : "");
}

int fullPartitions(const Shape& shape, int sms) {
  const int block = fewRowsBlock(shape.rows());
  return std::max(1, sms / shape.headsKv / ((shape.rows() + block - 1) / block));
}

Problem::Problem(const Shape& shape_, uint32_t seed, int partitions, int fixedOverhead)
    : shape(shape_), scale(1 / std::sqrt(static_cast<double>(queryDim))), partitions_(partitions) {
  const auto batch = static_cast<int64_t>(shape.lengths.size());
  std::mt19937 random(seed);
  const auto pagesOf = [](int32_t length) { return (length + pageTokens - 1) / pageTokens; };
  int width = 1;
  for (const int32_t length : shape.lengths) {
    pages += pagesOf(length);
    width = std::max(width, pagesOf(length));
  }
  const int64_t cachePages = pages + 2;
  std::vector<int32_t> order(cachePages);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);

  std::vector<int32_t> entries(batch * width, 2147480000);
  for (int64_t request = 0; request < batch; request++) {
    for (int page = 0; page < pagesOf(shape.lengths[request]); page++) {
      const int32_t id = order[ids.size()];
      ids.push_back(id);
      const bool hole = shape.holes && random() % 3 == 0;
      entries[request * width + page] = !hole ? id : random() % 2 ? -1 : static_cast<int32_t>(cachePages);
    }
  }
  schedule = fixedOverhead < 0 ? cheapestSchedule(shape.lengths, partitions, pageTokens)
                               : computeSchedule(shape.lengths, partitions, pageTokens, fixedOverhead);

  const int64_t tokenValues = static_cast<int64_t>(shape.headsKv) * queryDim;
  const int64_t queryRows = batch * shape.queryTokens * shape.headsQ;
  const int64_t partialRows = static_cast<int64_t>(schedule.numSplits.back()) * shape.headsKv * shape.rows();
  const int blocks = (shape.rows() + 15) / 16;
  cache = std::make_unique<Buffer<T>>(cachePages * pageTokens * tokenValues);
  q = std::make_unique<Buffer<T>>(queryRows * queryDim);
  out = std::make_unique<Buffer<T>>(queryRows * valueDim);
  lse = std::make_unique<Buffer<float>>(queryRows);
  partialOut = std::make_unique<Buffer<float>>(partialRows * valueDim);
  partialLse = std::make_unique<Buffer<float>>(partialRows);
  lengths = std::make_unique<Buffer<int32_t>>(shape.lengths);
  table = std::make_unique<Buffer<int32_t>>(entries);
  numSplits = std::make_unique<Buffer<int32_t>>(schedule.numSplits);
  rows = std::make_unique<Buffer<ScheduleRow>>(schedule.rows);
  arrivals = std::make_unique<Buffer<uint32_t>>(batch * shape.headsKv * blocks);

  cache->fillBytes(0xff);
  out->fillBytes(0xff);
  lse->fillBytes(0xff);
  partialOut->fillBytes(0xff);
  partialLse->fillBytes(0xff);
  arrivals->fillBytes(0);
  fillRandom<<<1024, 256>>>(q->get(), q->count(), seed);
  POLYMLA_CUDA(cudaGetLastError());
  fillPages<<<batch * width, 256>>>(cache->get(), table->get(), lengths->get(), width, static_cast<int>(cachePages),
                                    static_cast<int>(tokenValues), seed + 1);
  POLYMLA_CUDA(cudaGetLastError());

  map = fewRowsMap(cacheShape());
  params = DecodeParams<T>{q->get(), out->get(), lse->get(), lengths->get(), table->get(), rows->get(), numSplits->get(),
                           partialOut->get(), partialLse->get(), arrivals->get(), width, static_cast<int32_t>(batch),
                           shape.queryTokens, shape.headsQ, shape.headsKv, shape.headsQ / shape.headsKv, static_cast<int32_t>(cachePages),
                           static_cast<float>(scale * 1.4426950408889634), shape.causal && shape.queryTokens > 1};
}

CacheShape Problem::cacheShape() const {
  const int64_t head = queryDim * 2;
  const int64_t token = head * shape.headsKv;
  return CacheShape{cache->get(), true, static_cast<int64_t>(cache->count()) / (pageTokens * queryDim * shape.headsKv),
                    pageTokens, shape.headsKv, queryDim, token * pageTokens, token, head};
}

}  // namespace polymla::test
