// Compares the kernels with the oracle over a reduced form of FlashMLA's dense grid: check [n] [least rows] [most rows], every n-th
// case with so many rows per KV head.
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

template <class T>
Found runOnce(const ProblemOf<T>& problem) {
  problem.out->fillBytes(0xff);
  problem.lse->fillBytes(0xff);
  problem.launch();
  POLYMLA_CUDA(cudaDeviceSynchronize());
  Found found;
  for (const auto value : problem.out->download()) found.out.push_back(static_cast<float>(value));
  found.lse = problem.lse->download();
  return found;
}

/** What is wrong with the results of a problem; empty when nothing is. */
template <class T>
std::string checkShape(const Shape& shape, uint32_t seed, int partitions, int fixedOverhead) {
  const ProblemOf<T> problem(shape, seed, partitions, fixedOverhead);
  const Found found = runOnce(problem);
  if (!(runOnce(problem) == found)) return "a second run gave other bits";
  if (shape.lengths.empty()) return "";
  const Buffer<double> out(problem.out->count());
  const Buffer<double> lse(problem.lse->count());
  oracleDecode<<<dim3(shape.rows(), shape.headsKv, shape.lengths.size()), oracleThreads>>>(
      problem.params, problem.cacheShape, problem.scale, out.get(), lse.get());
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
  const int minRows = argc > 2 ? std::atoi(argv[2]) : 0;
  const int maxRows = argc > 3 ? std::atoi(argv[3]) : 1 << 20;
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
  for (const int batch : {1, 2, 6, 64}) {
    for (const int queryTokens : {1, 2, 4}) {
      for (const int length : {0, 1, 20, 64, 65, 140, 4096}) {
        for (const int headsQ : {33, 63, 64, 126, 128}) {
          for (const bool varlen : {false, true}) {
            if (varlen && (length == 0 || batch == 1)) continue;
            shapes.push_back({queryTokens, headsQ, 1, lengthsOf(batch, length, varlen, queryTokens, random), random() % 2 == 0});
          }
        }
      }
    }
  }
  shapes.push_back({2, 16, 1, {300, 4000, 64, 0, 1}, true, true});
  shapes.push_back({1, 16, 1, {131072}, false});
  for (const int pageSize : {16, 32, 128, 192}) {
    for (const bool strided : {false, true}) {
      for (const int headsKv : {1, 2}) {
        for (const bool holes : {false, true}) {
          const std::vector<int32_t> lengths{0, 4096, 1, 700, 65, 15, 16, 17, 200, 5000};
          shapes.push_back({2, 9 * headsKv, headsKv, lengths, true, holes, pageSize, strided});
        }
      }
      shapes.push_back({1, 32, 1, {3000, 40000}, false, false, pageSize, strided});
      shapes.push_back({2, 96, 2, {0, 4096, 1, 700, 65, 15, 16, 17, 200, 5000}, true, true, pageSize, strided});
      shapes.push_back({1, 64, 1, {0, 4096, 1, 700, 65, 15, 16, 17, 200, 5000}, false, true, pageSize, strided});
    }
  }
  shapes.push_back({2, 9, 3, {0, 4096, 1, 700, 65}, true, true, pageTokens, true});
  shapes.push_back({1, 16, 1, {}, false});
  for (const int queryTokens : {1, 2, 5, 33, 70}) {
    for (const int headsQ : {1, 3, 16}) {
      for (const bool holes : {false, true}) {
        Shape shape{queryTokens, headsQ, 1, {0, 4096, 1, 700, 65, queryTokens, queryTokens - 1, 128 + queryTokens / 2, 63}, false, holes};
        shape.tree = true;
        shapes.push_back(shape);
        shape.headDim = 512;
        shape.pageSize = holes ? 32 : 64;
        shapes.push_back(shape);
      }
    }
  }
  for (const int headsQ : {1, 9, 16, 32, 64}) {
    for (const int pageSize : {16, 64, 128}) {
      for (const bool causal : {false, true}) {
        Shape shape{causal ? 2 : 1, headsQ, 1, lengthsOf(6, 3000, true, 2, random), causal, false, pageSize, causal};
        shape.headDim = 512;
        shapes.push_back(shape);
      }
    }
  }
  // Offsets past 2^31 elements.
  shapes.push_back({1, 16, 1, {5000, 70}, false, false, pageTokens, false, 90000});
  shapes.push_back({1, 32, 1, {5000, 70}, false, false, 16, true, 360000});
  shapes.push_back({1, 16, 1, {1 << 20}, false});
  // More splits than a row block's units of 8 rows × 32 dims, in all blocks.
  for (const int headsQ : {9, 32, 64}) {
    Shape shape{1, headsQ, 1, {20000}, false};
    shape.headDim = 512;
    shapes.push_back(shape);
  }
  std::vector<int32_t> corner(128, 4096);
  for (auto& length : corner) length = random() % 2 ? length : 0;
  shapes.push_back({2, 9, 1, corner, true});
  shapes.push_back({2, 16, 1, corner, false});

  int wrong = 0;
  int checked = 0;
  uint32_t seed = 1;
  try {
    for (Shape shape : shapes) {
      if (seed++ % step != 0 || shape.rows() < minRows || shape.rows() > maxRows) continue;
      checked++;
      // Every kernel and row block comes up, too many rows and too few for it.
      constexpr int blocks[] = {-1, -1, 64, -1, 32, 0, 64, 32};
      shape.rowBlock = blocks[seed / step % 8];
      const int full = fullPartitions(shape, device.multiProcessorCount);
      const int overhead = static_cast<int>(seed % 4) - 1;
      const bool fp16 = random() % 2 == 0;
      const std::string result = fp16 ? checkShape<__half>(shape, seed, full, overhead)
                                      : checkShape<__nv_bfloat16>(shape, seed, full, overhead);
      if (!result.empty() && wrong++ < 20) {
        std::printf("wrong: %s %s overhead %d: %s\n", fp16 ? "fp16" : "bf16", shape.describe().c_str(), overhead,
                    result.c_str());
      }
    }
  } catch (const std::exception& error) {
    std::printf("failed in case %u, %s: %s\n", seed - 1, shapes[seed - 2].describe().c_str(), error.what());
    return 1;
  }
  std::printf("%d cases, %d wrong\n", checked, wrong);
  return wrong > 0;
}
