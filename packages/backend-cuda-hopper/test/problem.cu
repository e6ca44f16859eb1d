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

/** Grid: a CTA per query token. */
template <class T>
__global__ void fillQuery(T* q, const DecodeParams<T> params, int headDim, uint64_t seed) {
  const int request = blockIdx.x / params.queryTokens;
  const int token = blockIdx.x % params.queryTokens;
  T* row = q + request * params.queries->requestStride + token * params.queries->tokenStride;
  const int values = params.headsQ() * headDim;
  for (int i = threadIdx.x; i < values; i += blockDim.x) {
    const float value = sample(seed, static_cast<int64_t>(blockIdx.x) * values + i);
    row[i / headDim * params.queries->headStride + i % headDim] = static_cast<T>(value);
  }
}

/** Grid: a CTA per table entry; pages outside the cache are left out. */
template <class T>
__global__ void fillPages(T* cache, const CacheShape shape, const DecodeParams<T> params, uint64_t seed) {
  const int width = params.blockTableStride;
  const int request = blockIdx.x / width;
  const int first = blockIdx.x % width * shape.pageSize;
  const int tokens = min(params.lengths[request] - first, shape.pageSize);
  if (tokens <= 0) return;
  const int page = params.blockTable[blockIdx.x];
  if (page < 0 || page >= shape.pages) return;
  const int values = shape.headsKv * shape.headDim;
  for (int i = threadIdx.x; i < tokens * values; i += blockDim.x) {
    const int64_t token = page * shape.pageStride + i / values * shape.tokenStride;
    cache[token / sizeof(T) + i % values] =
        static_cast<T>(sample(seed, static_cast<int64_t>(blockIdx.x) * shape.pageSize * values + i));
  }
}

int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

std::string Shape::describe() const {
  std::string range = "none";
  if (!lengths.empty()) {
    const auto [low, high] = std::minmax_element(lengths.begin(), lengths.end());
    range = std::to_string(*low) + ".." + std::to_string(*high);
  }
  return "b" + std::to_string(lengths.size()) + " s_q" + std::to_string(queryTokens) + " len" + range + " h_q" +
         std::to_string(headsQ) + " h_kv" + std::to_string(headsKv) + " page" + std::to_string(pageSize) +
         (causal ? " causal" : "") + (holes ? " holes" : "") + (headDim != queryDim ? " d" + std::to_string(headDim) : "") + (tree ? " tree" : "") + " block" + std::to_string(chosenRowBlock()) + (strided ? " strided" : "");
}

int Shape::chosenRowBlock() const {
  int64_t pages = 0;
  for (const int32_t length : lengths) pages += (length + pageTokens - 1) / pageTokens;
  const int block = rowBlock < 0 ? fewRowsBlock(rows(), pages) : rowBlock;
  return block > 0 || (headDim == queryDim && !tree) ? block : 64;
}

int fullPartitions(const Shape& shape, int sms) {
  const int block = shape.chosenRowBlock();
  return block == 0 ? manyRowsPartitions(shape.rows(), shape.headsKv, sms) : fewRowsPartitions(shape.rows(), block, shape.headsKv, sms);
}

template <class T>
ProblemOf<T>::ProblemOf(const Shape& shape_, uint32_t seed, int partitions, int fixedOverhead)
    : shape(shape_), scale(1 / std::sqrt(static_cast<double>(shape_.headDim))) {
  const auto batch = static_cast<int64_t>(shape.lengths.size());
  std::mt19937 random(seed);
  const auto pagesOf = [&](int32_t length) { return (length + shape.pageSize - 1) / shape.pageSize; };
  int width = 1;
  for (const int32_t length : shape.lengths) {
    pages += pagesOf(length);
    width = std::max(width, pagesOf(length));
  }
  const int64_t cachePages = pages + shape.sparePages;
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

  // Gaps of 16 bytes and more, which keep rows 16-byte aligned.
  const int64_t gap = shape.strided ? 8 : 0;
  const int64_t keyToken = shape.headsKv * shape.headDim + gap;
  const int64_t keyPage = shape.pageSize * keyToken + 3 * gap;
  const int64_t queryHead = shape.headDim + gap;
  const int64_t queryToken = shape.headsQ * queryHead + gap;
  const int64_t queryRequest = shape.queryTokens * queryToken + 3 * gap;
  const int64_t queryRows = batch * shape.queryTokens * shape.headsQ;
  const int64_t partialRows = static_cast<int64_t>(schedule.numSplits.back()) * shape.headsKv * roundUp(shape.rows(), 64);
  cache = std::make_unique<Buffer<T>>(cachePages * keyPage);
  q = std::make_unique<Buffer<T>>(batch * queryRequest);
  out = std::make_unique<Buffer<T>>(queryRows * valueDim);
  lse = std::make_unique<Buffer<float>>(queryRows);
  partialOut = std::make_unique<Buffer<T>>(partialRows * valueDim);
  partialLse = std::make_unique<Buffer<float>>(partialRows);
  lengths = std::make_unique<Buffer<int32_t>>(shape.lengths);
  table = std::make_unique<Buffer<int32_t>>(entries);
  numSplits = std::make_unique<Buffer<int32_t>>(schedule.numSplits);
  rows = std::make_unique<Buffer<ScheduleRow>>(schedule.rows);
  arrivals = std::make_unique<Buffer<uint32_t>>(batch * shape.headsKv * roundUp(shape.rows(), 16) / 16);

  cache->fillBytes(0xff);
  q->fillBytes(0xff);
  out->fillBytes(0xff);
  lse->fillBytes(0xff);
  partialOut->fillBytes(0xff);
  partialLse->fillBytes(0xff);
  arrivals->fillBytes(0);

  cacheShape = CacheShape{cache->get(), std::is_same_v<T, __nv_bfloat16>, cachePages, shape.pageSize, shape.headsKv, shape.headDim,
                          keyPage * 2, keyToken * 2};
  const int rowBlock = shape.chosenRowBlock();
  cacheMaps = std::make_unique<Buffer<CacheMaps>>(std::vector{rowBlock == 0 ? manyRowsMaps(cacheShape) : fewRowsMaps(cacheShape)});
  launchShape = {partitions, static_cast<int>(batch), shape.headDim, rowBlock, pages * ((shape.pageSize + pageTokens - 1) / pageTokens)};
  params.cache = cacheMaps->get();
  params.out = out->get();
  params.lse = lse->get();
  params.lengths = lengths->get();
  params.blockTable = table->get();
  params.blockTableStride = width;
  params.schedule = rows->get();
  params.numSplits = numSplits->get();
  params.partialOut = partialOut->get();
  params.partialLse = partialLse->get();
  params.arrivals = arrivals->get();
  // Right for equal lengths, else wrong for most partitions, which must not matter.
  if (batch > 0 && shape.pageSize == pageTokens) {
    params.guess = ScheduleGuess::of(batch, pagesOf(shape.lengths[0]), std::max(schedule.rows[0].endPage, 1));
  }
  params.queryTokens = shape.queryTokens;
  params.headsKv = static_cast<uint16_t>(shape.headsKv);
  params.headsPerKv = shape.headsQ / shape.headsKv;
  params.pages = static_cast<int32_t>(cachePages);
  params.pageSize = shape.pageSize;
  params.scaleLog2 = static_cast<float>(scale * 1.4426950408889634);
  params.causal = shape.causal && shape.queryTokens > 1;
  const QueryBox box = rowBlock == 0 ? manyRowsQueryBox : fewRowsQueryBox(rowBlock, shape.headDim);
  QueryTensor<T> where{{}, q->get(), queryRequest, queryToken, queryHead};
  const auto queryMap = batch > 0 ? queryMapOf(where, params, batch, shape.headDim, box) : std::nullopt;
  params.hasQueryMap = queryMap.has_value();
  if (queryMap) where.map = *queryMap;
  queries = std::make_unique<Buffer<QueryTensor<T>>>(std::vector{where});
  params.queries = queries->get();
  if (shape.tree) {
    // Words past the last bit and rows past the batch stay as random as the rest.
    std::vector<int32_t> words(batch * shape.queryTokens * ((shape.queryTokens + 31) / 32));
    for (int32_t& word : words) word = static_cast<int32_t>(random());
    treeMask = std::make_unique<Buffer<int32_t>>(words);
    params.treeMask = treeMask->get();
  }
  if (batch == 0) return;
  fillQuery<<<batch * shape.queryTokens, 256>>>(q->get(), params, shape.headDim, seed);
  POLYMLA_CUDA(cudaGetLastError());
  fillPages<<<batch * width, 256>>>(cache->get(), cacheShape, params, seed + 1);
  POLYMLA_CUDA(cudaGetLastError());
}

template class ProblemOf<__nv_bfloat16>;
template class ProblemOf<__half>;

}  // namespace polymla::test
