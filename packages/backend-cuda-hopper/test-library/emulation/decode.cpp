// Stands for the kernels of src/decode: the oracle, with a check of what a launch gives them.
#include "device.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <vector>

#include "../../src/decode/few-rows.h"
#include "../../src/decode/many-rows.h"
#include "../../test/oracle.cuh"

namespace polymla {
namespace {

/** A tensor map that is the shape it was made for. */
CUtensorMap mapOf(const CacheShape& cache) {
  CUtensorMap map{};
  static_assert(sizeof cache <= sizeof map);
  std::memcpy(&map, &cache, sizeof cache);
  return map;
}

/** Whether the schedule has every page of every request once, and splits where numSplits says. */
template <class T>
bool isWhole(const DecodeParams<T>& params, int partitions) {
  std::vector<int64_t> pages(params.batch, 0);
  std::vector<int> pieces(params.batch, 0);
  for (int partition = 0; partition < partitions; partition++) {
    const ScheduleRow& row = params.schedule[partition];
    for (int request = row.beginRequest; request <= row.endRequest; request++) {
      const int64_t all = (params.lengths[request] + pageTokens - 1) / pageTokens;
      const int64_t begin = request == row.beginRequest ? row.beginPage : 0;
      pages[request] += (request == row.endRequest ? row.endPage : all) - begin;
      pieces[request]++;
    }
  }
  for (int request = 0; request < params.batch; request++) {
    if (pages[request] != (params.lengths[request] + pageTokens - 1) / pageTokens) return false;
    if (pieces[request] != params.numSplits[request + 1] - params.numSplits[request]) return false;
  }
  return true;
}

template <class T>
void decode(const CUtensorMap& map, const DecodeParams<T>& params, int partitions) {
  CacheShape cache;
  std::memcpy(&cache, &map, sizeof cache);
  bool right = isWhole(params, partitions);
  const int64_t counters = static_cast<int64_t>(params.batch) * params.headsKv * ((params.rows() + 15) / 16);
  for (int64_t i = 0; i < counters; i++) right = right && params.arrivals[i] == 0;
  // Scratch may hold anything, and must lie apart from everything else.
  const int64_t scratchRows = static_cast<int64_t>(params.numSplits[params.batch]) * params.headsKv * ((params.rows() + 15) / 16 * 16);
  std::memset(params.partialOut, 0xff, scratchRows * valueDim * 4);
  std::memset(params.partialLse, 0xff, scratchRows * 4);

  const int64_t rows = static_cast<int64_t>(params.batch) * params.queryTokens * params.headsQ;
  std::vector<double> out(rows * valueDim);
  std::vector<double> lse(rows);
  emulation::run(dim3(params.rows(), params.headsKv, params.batch), dim3(test::oracleThreads),
                 [&] { test::oracleDecode(params, cache, params.scaleLog2 / 1.4426950408889634, out.data(), lse.data()); });
  for (int64_t i = 0; i < rows * valueDim; i++) params.out[i] = static_cast<T>(right ? static_cast<float>(out[i]) : NAN);
  for (int64_t i = 0; i < rows; i++) params.lse[i] = static_cast<float>(lse[i]);
}

}  // namespace

CUtensorMap fewRowsMap(const CacheShape& cache) { return mapOf(cache); }
template <class T>
void launchFewRows(const CUtensorMap& map, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  emulation::enqueue(stream, [=] { decode(map, params, partitions); });
}
template void launchFewRows(const CUtensorMap&, const DecodeParams<__half>&, int, cudaStream_t);
template void launchFewRows(const CUtensorMap&, const DecodeParams<__nv_bfloat16>&, int, cudaStream_t);

int manyRowsPartitions(int rows, int headsKv, int sms) { return std::max(1, sms / ((rows + 63) / 64 * headsKv)); }
ManyRowsMaps manyRowsMaps(const CacheShape& cache) { return {mapOf(cache), mapOf(cache)}; }
template <class T>
void launchManyRows(const ManyRowsMaps& maps, const DecodeParams<T>& params, int partitions, cudaStream_t stream) {
  emulation::enqueue(stream, [=] { decode(maps.tile, params, partitions); });
}
template void launchManyRows(const ManyRowsMaps&, const DecodeParams<__half>&, int, cudaStream_t);
template void launchManyRows(const ManyRowsMaps&, const DecodeParams<__nv_bfloat16>&, int, cudaStream_t);

}  // namespace polymla
