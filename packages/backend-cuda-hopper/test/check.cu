// Compares the few-rows kernel with the oracle over a reduced form of FlashMLA's dense grid: check [n], every n-th case.
// Exit status 0: all equal.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "compare.h"
#include "oracle.cuh"
#include "problem.cuh"

using namespace polymla;
using namespace polymla::test;

namespace {

struct Found {
  std::vector<float> out;
  std::vector<float> lse;
  bool operator==(const Found& other) const {
    return std::memcmp(out.data(), other.out.data(), out.size() * 4) == 0 &&
           std::memcmp(lse.data(), other.lse.data(), lse.size() * 4) == 0;
  }
};

Found runOnce(const Problem& problem) {
  problem.out->fillBytes(0xff);
  problem.lse->fillBytes(0xff);
  problem.launch();
  POLYMLA_CUDA(cudaDeviceSynchronize());
  Found found;
  for (const auto value : problem.out->download()) found.out.push_back(__bfloat162float(value));
  found.lse = problem.lse->download();
  return found;
}

/** What is wrong with the results of a problem; empty when nothing is. */
std::string checkShape(const Shape& shape, uint32_t seed, int partitions, int fixedOverhead) {
  const Problem problem(shape, seed, partitions, fixedOverhead);
  const Found found = runOnce(problem);
  if (!(runOnce(problem) == found)) return "a second run gave other bits";

  const Buffer<double> out(problem.out->count());
  const Buffer<double> lse(problem.lse->count());
  oracleDecode<<<dim3(shape.rows(), shape.headsKv, shape.lengths.size()), oracleThreads>>>(
      problem.params, problem.cache->get(), problem.scale, out.get(), lse.get());
  POLYMLA_CUDA(cudaDeviceSynchronize());
  const std::string wrongOut = compare(found.out, out.download(), outTolerance);
  if (!wrongOut.empty()) return "out: " + wrongOut;
  const std::string wrongLse = compare(found.lse, lse.download(), lseTolerance);
  return wrongLse.empty() ? "" : "lse: " + wrongLse;
}

std::vector<int32_t> lengthsOf(int batch, int length, bool varlen, int queryTokens, std::mt19937& random) {
  std::vector<int32_t> lengths(batch, length);
  std::normal_distribution<double> normal(length, length / 2.0);
  for (auto& value : lengths) {
    if (varlen) value = std::max(static_cast<int>(normal(random)), queryTokens);
  }
  return lengths;
}

}  // namespace

int main(int argc, char** argv) {
  const int step = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  cudaDeviceProp device;
  POLYMLA_CUDA(cudaGetDeviceProperties(&device, 0));
  std::mt19937 random(1);
  std::vector<Shape> shapes;
  for (const int batch : {1, 2, 6, 64}) {
    for (const int queryTokens : {1, 2, 4}) {
      for (const int length : {0, 1, 20, 63, 64, 65, 140, 4096}) {
        for (const int headsQ : {1, 3, 7, 9, 16, 32}) {
          for (const bool varlen : {false, true}) {
            if (varlen && (length == 0 || batch == 1)) continue;
            for (const bool causal : {false, true}) {
              if (causal && queryTokens == 1) continue;
              shapes.push_back({queryTokens, headsQ, 1, lengthsOf(batch, length, varlen, queryTokens, random), causal});
            }
          }
        }
      }
    }
  }
  for (const int headsKv : {2, 3}) {
    for (const int queryTokens : {1, 3}) {
      shapes.push_back({queryTokens, 6 * headsKv, headsKv, {0, 4096, 1, 700, 65}, true});
      shapes.push_back({queryTokens, 6 * headsKv, headsKv, {5000}, false, true});
    }
  }
  shapes.push_back({2, 16, 1, {300, 4000, 64, 0, 1}, true, true});
  shapes.push_back({1, 16, 1, {131072}, false});
  std::vector<int32_t> corner(128, 4096);
  for (auto& length : corner) length = random() % 2 ? length : 0;
  shapes.push_back({2, 9, 1, corner, true});
  shapes.push_back({2, 16, 1, corner, false});

  int wrong = 0;
  int checked = 0;
  uint32_t seed = 1;
  try {
    for (const Shape& shape : shapes) {
      if (seed++ % step != 0) continue;
      checked++;
      const int full = fullPartitions(shape, device.multiProcessorCount);
      const int overhead = static_cast<int>(seed % 4) - 1;
      const std::string result = checkShape(shape, seed, full, overhead);
      if (!result.empty() && wrong++ < 20) {
        std::printf("wrong: %s overhead %d: %s\n", shape.describe().c_str(), overhead, result.c_str());
      }
    }
  } catch (const std::exception& error) {
    std::printf("failed in case %u, %s: %s\n", seed - 1, shapes[seed - 2].describe().c_str(), error.what());
    return 1;
  }
  std::printf("%d cases, %d wrong\n", checked, wrong);
  return wrong > 0;
}
