// Stands for the kernels of src/decode: the same results in double precision, with a check of what a launch gives them.
#include "device.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <vector>

#include "../../src/decode/few-rows.h"
#include "../../src/decode/many-rows.h"
#include "../../src/decode/row-places.cuh"

namespace polymla {
namespace {

/** A tensor map that is the shape it was made for. */
CUtensorMap mapOf(const CacheShape& cache) {
  CUtensorMap map{};
  static_assert(sizeof cache <= sizeof map);
  std::memcpy(&map, &cache, sizeof cache);
  return map;
}

/** Requests that the kernels work on: a batch of splits has room for more. */
template <class T>
int requestsOf(const DecodeParams<T>& params, const DecodeLaunch& shape) {
  if (params.queryOf == nullptr) return shape.batch;
  int requests = 0;
  for (int partition = 0; partition < shape.partitions; partition++) {
    requests = std::max(requests, params.schedule[partition].endRequest + 1);
  }
  return requests;
}

/** Whether the schedule has every page of every request once, and splits where numSplits says. */
template <class T>
bool isWhole(const DecodeParams<T>& params, int partitions, int requests) {
  std::vector<int64_t> pages(requests, 0);
  std::vector<int> pieces(requests, 0);
  for (int partition = 0; partition < partitions; partition++) {
    const ScheduleRow& row = params.schedule[partition];
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const int64_t all = params.pagesOf(params.lengthOf(request));
      const int64_t begin = request == row.beginRequest ? row.beginPage : 0;
      pages[request] += (request == row.endRequest ? row.endPage : all) - begin;
      pieces[request]++;
    }
  }
  for (int request = 0; request < requests; request++) {
    if (pages[request] != params.pagesOf(params.lengthOf(request))) return false;
    if (pieces[request] != params.numSplits[request + 1] - params.numSplits[request]) return false;
  }
  return true;
}

/** Whether a partition's guessed beginning can be looked up. */
template <class T>
bool isInside(const DecodeParams<T>& params, const DecodeLaunch& shape) {
  for (int partition = 0; partition < shape.partitions; partition++) {
    const ScheduleGuess::Begin guess = params.guess.begin(partition);
    if (guess.request >= shape.batch || (guess.request >= 0 && guess.page < 0)) return false;
  }
  return true;
}

/** Dense decode of one query row in double precision, from the definition; reads exactly the keys that the row sees. */
template <class T>
void decodeRow(const CacheShape& cache, const DecodeParams<T>& params, int request, int kvHead, int row) {
  const RowPlaces place = RowPlaces::of(params, row);
  const T* const query = params.firstQuery(request, kvHead) + place.query(params);
  const int32_t* const table = params.blockTable + static_cast<int64_t>(request) * params.blockTableStride;
  const int length = params.lengthOf(request);
  // Of a split that is a request of its own, the keys past its pages are another's.
  const int64_t held = static_cast<int64_t>(params.pagesOf(length)) * pageTokens;
  const int64_t visible = std::min<int64_t>(params.visibleKeys(length, place.token), held);
  std::vector<const T*> keys;
  std::vector<double> scores;
  double largest = -INFINITY;
  for (int64_t token = 0; token < visible; token++) {
    const int64_t inTree = token - (int64_t{length} - params.queryTokens);
    if (params.treeMask && inTree >= 0 && (params.treeRow(request, place.token)[inTree / 32] >> inTree % 32 & 1) == 0) continue;
    const int page = table[token / cache.pageSize];
    if (page < 0 || page >= cache.pages) continue;
    const auto* const bytes = static_cast<const std::byte*>(cache.data) + page * cache.pageStride + token % cache.pageSize * cache.tokenStride;
    const T* const key = reinterpret_cast<const T*>(bytes + kvHead * cache.headDim * sizeof(T));
    double score = 0;
    // Columns that the cache lacks are copied as zeros.
    for (int dim = 0; dim < cache.headDim; dim++) score += static_cast<double>(static_cast<float>(query[dim])) * static_cast<float>(key[dim]);
    keys.push_back(key);
    scores.push_back(score * params.scaleLog2);
    largest = std::max(largest, scores.back());
  }
  double sum = 0;
  std::vector<double> out(valueDim);
  for (size_t i = 0; i < keys.size(); i++) {
    const double weight = std::exp2(scores[i] - largest);
    sum += weight;
    for (int dim = 0; dim < valueDim; dim++) out[dim] += weight * static_cast<float>(keys[i][dim]);
  }
  T* const to = params.out + (params.firstRow(request, kvHead) + place.out) * valueDim;
  for (int dim = 0; dim < valueDim; dim++) to[dim] = static_cast<T>(sum > 0 ? static_cast<float>(out[dim] / sum) : 0.0f);
  constexpr double ln2 = 0.6931471805599453;
  params.lse[params.firstLse(request, kvHead) + place.lse] = sum > 0 ? static_cast<float>((largest + std::log2(sum)) * ln2) : INFINITY;
}

template <class T>
void decode(const DecodeParams<T>& params, const DecodeLaunch& shape) {
  CacheShape cache;
  std::memcpy(&cache, &params.cache->box, sizeof cache);
  const int requests = requestsOf(params, shape);
  bool right = isWhole(params, shape.partitions, requests) && isInside(params, shape);
  // Scratch may hold anything, and must lie apart from everything else. A batch of splits has none.
  if (params.queryOf == nullptr) {
    const int64_t counters = static_cast<int64_t>(shape.batch) * params.headsKv * ((params.rows() + 15) / 16);
    for (int64_t i = 0; i < counters; i++) right = right && params.arrivals[i] == 0;
    const int64_t scratchRows = static_cast<int64_t>(params.numSplits[shape.batch]) * params.headsKv * ((params.rows() + 15) / 16 * 16);
    std::memset(params.partialOut, 0xff, scratchRows * valueDim * sizeof(T));
    std::memset(params.partialLse, 0xff, scratchRows * 4);
  }
  if (!right) return;  // what is not written is NaN, and found
  for (int request = 0; request < requests; request++) {
    for (int kvHead = 0; kvHead < params.headsKv; kvHead++) {
      for (int row = 0; row < params.rows(); row++) decodeRow(cache, params, request, kvHead, row);
    }
  }
}

}  // namespace

CacheMaps fewRowsMaps(const CacheShape& cache) { return {mapOf(cache), {}}; }
template <class T>
void launchFewRows(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
  emulation::enqueue(stream, [=] { decode(params, shape); });
}
template void launchFewRows(const DecodeParams<__half>&, const DecodeLaunch&, cudaStream_t);
template void launchFewRows(const DecodeParams<__nv_bfloat16>&, const DecodeLaunch&, cudaStream_t);

int manyRowsPartitions(int rows, int headsKv, int sms) { return std::max(1, sms / ((rows + 63) / 64 * headsKv)); }
CacheMaps manyRowsMaps(const CacheShape& cache) { return {mapOf(cache), mapOf(cache)}; }
template <class T>
void launchManyRows(const DecodeParams<T>& params, const DecodeLaunch& shape, cudaStream_t stream) {
  emulation::enqueue(stream, [=] { decode(params, shape); });
}
template void launchManyRows(const DecodeParams<__half>&, const DecodeLaunch&, cudaStream_t);
template void launchManyRows(const DecodeParams<__nv_bfloat16>&, const DecodeLaunch&, cudaStream_t);

/** Queries are read where they lie. */
std::optional<CUtensorMap> queryTensorMap(const QueryShape&, int, int) { return std::nullopt; }

}  // namespace polymla
