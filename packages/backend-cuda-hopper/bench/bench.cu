// Times the kernels beside the anchors: bench ANCHORS.tsv [overhead, -1: cost model] [maxRows] [minRows] [row block, 0: many-rows]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>

#include "../test/problem.cuh"
#include "python-random.h"
#include "stream-pages.cuh"

using namespace polymla;
using namespace polymla::test;

namespace {

struct Times {
  float median;
  float min;
};

/** The anchors' method: events around one whole call, 4 GB written before it (cold L2), 3 warm-ups, 20 runs; µs. */
Times timeCall(const std::function<void()>& call) {
  static const Buffer<uint8_t> flush(4ull << 30);
  cudaEvent_t begin, end;
  POLYMLA_CUDA(cudaEventCreate(&begin));
  POLYMLA_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int run = 0; run < 23; run++) {
    POLYMLA_CUDA(cudaMemsetAsync(flush.get(), run, flush.bytes()));
    POLYMLA_CUDA(cudaEventRecord(begin));
    call();
    POLYMLA_CUDA(cudaEventRecord(end));
    POLYMLA_CUDA(cudaEventSynchronize(end));
    float milliseconds;
    POLYMLA_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    if (run >= 3) times.push_back(milliseconds * 1000);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return {(times[9] + times[10]) / 2, times.front()};
}

Times timeStreaming(const Problem& problem, const Buffer<int32_t>& ids, int sms) {
  using Ring = PageRing<pageTiles>;
  void (*kernel)(CUtensorMap, const int32_t*, int, int) = bench::streamPages<Ring>;
  constexpr int bytes = Ring::bytes + 1024;
  POLYMLA_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const CUtensorMap map = cacheGroupMap(problem.cacheShape, pageTokens);
  const int count = static_cast<int>(ids.count());
  return timeCall([&] {
    kernel<<<std::min(count, sms), 64, bytes>>>(map, ids.get(), count, problem.params.pages);
    POLYMLA_CUDA(cudaGetLastError());
  });
}

/** The anchors' lengths: all the same, or about normal around `length`. */
std::vector<int32_t> lengthsOf(int batch, int length, bool varlen) {
  std::vector<int32_t> lengths(batch, length);
  bench::PythonRandom random;
  for (auto& value : lengths) {
    if (varlen) value = std::max(static_cast<int>(random.normal(length, length / 2.0)), 1);
  }
  return lengths;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::printf("usage: bench ANCHORS.tsv [overhead, -1: cost model] [maxRows] [minRows] [row block, 0: many-rows]\n");
    return 2;
  }
  const int overhead = argc > 2 ? std::atoi(argv[2]) : -1;
  const int maxRows = argc > 3 ? std::atoi(argv[3]) : 32;
  const int minRows = argc > 4 ? std::atoi(argv[4]) : 1;
  const int rowBlock = argc > 5 ? std::atoi(argv[5]) : -1;
  cudaDeviceProp device;
  POLYMLA_CUDA(cudaGetDeviceProperties(&device, 0));
  std::printf("overhead %d; times in us; stream: pages into shared memory and nothing else\n", overhead);
  std::printf("   b s_q    s_k h_q | FlashMLA     FA3 |    ours     min | anchor/ours TFLOP/s |  stream ours/stream |    fp16\n");
  std::ifstream file(argv[1]);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    int batch, queryTokens, length, headsQ;
    bool varlen, causal;
    float flashMla, fa3;
    fields >> batch >> queryTokens >> length >> headsQ >> varlen >> causal >> flashMla >> fa3;
    if (queryTokens * headsQ > maxRows || queryTokens * headsQ < minRows) continue;
    Shape shape{queryTokens, headsQ, 1, lengthsOf(batch, length, varlen), causal};
    shape.rowBlock = rowBlock;
    const Problem problem(shape, 7, fullPartitions(shape, device.multiProcessorCount), overhead);
    const Buffer<int32_t> ids(problem.ids);
    const Times ours = timeCall([&] { problem.launch(); });
    const ProblemOf<__half> half(shape, 7, fullPartitions(shape, device.multiProcessorCount), overhead);
    const Times fp16 = timeCall([&] { half.launch(); });
    const double flop = 2.0 * shape.rows() * std::accumulate(shape.lengths.begin(), shape.lengths.end(), 0.0) * (queryDim + valueDim);
    const Times stream = timeStreaming(problem, ids, device.multiProcessorCount);
    std::printf("%4d %3d %6d %3d | %8.2f %7.2f | %7.2f %7.2f | %11.3f %7.1f | %7.2f %11.3f | %7.2f%s\n", batch, queryTokens,
                length, headsQ, flashMla, fa3, ours.median, ours.min, std::min(flashMla, fa3) / ours.median, flop / ours.median * 1e-6,
                stream.median, ours.median / stream.median, fp16.median, varlen ? causal ? " varlen causal" : " varlen" : "");
    std::fflush(stdout);
  }
  return 0;
}
