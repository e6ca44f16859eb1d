// Bugs that kernels get when they are ported, and what the emulated devices make of them. Kernels of its own: those of the
// library are in missing-barriers.cpp.

#include "check.h"
#include "launches.h"

using namespace polymla;
using namespace polymla::test;

namespace {

constexpr int threads = 256;
float results[threads];

/** The sum of a group's numbers, by every thread. */
PMLA_DEVICE float overGroup(float value) {
  for (int step = 16; step > 0; step /= 2) value += shuffleXor(value, step);
  return value;
}

PMLA_KERNEL(threads) right(float *to) { to[threadIndex()] = overGroup(static_cast<float>(threadIndex())); }

/** Right where a wave is a group: each group goes its own way. */
PMLA_KERNEL(threads) groupsPart(float *to) {
  float value = static_cast<float>(threadIndex());
  const int rounds = threadIndex() / groupLanes % 2 == 0 ? 1 : 2;
  for (int round = 0; round < rounds; round++) value = overGroup(value);
  to[threadIndex()] = value;
}

/** Right where 32 threads execute in step: no barrier between a write to shared memory and its reader. */
PMLA_KERNEL(threads) inStep(float *to) {
  auto *const shared = reinterpret_cast<float *>(sharedMemory());
  shared[threadIndex()] = static_cast<float>(threadIndex());
  to[threadIndex()] = shared[threadIndex() ^ 1];
}

PMLA_KERNEL(threads) halfShuffles(float *to) {
  float value = static_cast<float>(threadIndex());
  if (threadIndex() % 32 < 16) value = shuffleXor(value, 1);
  to[threadIndex()] = value;
}

PMLA_KERNEL(threads) barrierForSome(float *to) {
  if (threadIndex() < 128) syncBlock();
  to[threadIndex()] = 0;
}

PMLA_KERNEL(threads) leavesEarly(float *to) {
  if (threadIndex() == 255) return;
  syncBlock();
  to[threadIndex()] = 0;
}

PMLA_KERNEL(threads) writesPastShared(float *to) {
  auto *const shared = reinterpret_cast<float *>(sharedMemory());
  shared[threadIndex() + 1] = 0;
  to[threadIndex()] = 0;
}

PMLA_KERNEL(threads) writesBeforeShared(float *to) {
  auto *const shared = reinterpret_cast<float *>(sharedMemory());
  shared[threadIndex() - 1] = 0;
  to[threadIndex()] = 0;
}

PMLA_KERNEL(threads) readsPastShared(float *to) {
  auto *const shared = reinterpret_cast<float *>(sharedMemory());
  shared[threadIndex()] = 1;
  syncBlock();
  to[threadIndex()] = shared[threadIndex() + 1];
}

PMLA_KERNEL(threads) readsUnwritten(float *to) { to[threadIndex()] = reinterpret_cast<float *>(sharedMemory())[threadIndex()]; }

PMLA_KERNEL(threads) doesNotWait(float *to) {
  alignas(16) static const float source[4] = {1, 2, 3, 4};
  auto *const shared = reinterpret_cast<float *>(sharedMemory());
  if (threadIndex() == 0) copy16(shared, source, true);
  commitCopies();
  syncBlock();
  to[threadIndex()] = shared[threadIndex() % 4];
}

std::string run(int device, void (*kernel)(float *)) {
  OnDevice on(device);
  std::fill(results, results + threads, -1.0f);
  launchKernel(kernel, "kernel", 1, threads, threads * 4, on.stream, static_cast<float *>(results));
  return on.finish();
}

void expectCaught(void (*kernel)(float *), const char *how, int from = 0) {
  for (int device = 0; device < 3; device++) {
    const std::string found = run(device, kernel);
    if (device < from) CHECK(found.empty(), "waves of %d: %s", waves[device], found.c_str());
    else CHECK(found.find(how) != std::string::npos, "waves of %d: expected '%s', found '%s'", waves[device], how, found.c_str());
  }
}

/** Not an error by itself, but results are NaN or another's: `expected` tells what they should be. */
template <class Expected> void expectWrong(void (*kernel)(float *), Expected &&expected) {
  for (int device = 0; device < 3; device++) {
    const std::string found = run(device, kernel);
    CHECK(found.empty(), "waves of %d: %s", waves[device], found.c_str());
    bool isRight = true;
    for (int i = 0; i < threads; i++) isRight = isRight && results[i] == expected(i);
    CHECK(!isRight, "waves of %d: nothing shows", waves[device]);
  }
}

} // namespace

int main() {
  for (int device = 0; device < 3; device++) {
    CHECK(run(device, right).empty(), "waves of %d", waves[device]);
    for (int i = 0; i < threads; i++) {
      const float sum = static_cast<float>(32 * (i / 32 * 32) + 31 * 16);
      CHECK(results[i] == sum, "thread %d: expected %g, found %g", i, sum, results[i]);
    }
  }
  expectCaught(groupsPart, "threads of a wave part", 1);
  expectCaught(halfShuffles, "threads of a wave part");
  expectCaught(barrierForSome, "part");
  expectCaught(leavesEarly, "part");
  expectCaught(writesPastShared, "past the end of shared memory");
  expectCaught(writesBeforeShared, "before the beginning of shared memory");
  expectWrong(inStep, [](int i) { return static_cast<float>(i ^ 1); });
  expectWrong(readsPastShared, [](int) { return 1.0f; });
  expectWrong(readsUnwritten, [](int) { return 0.0f; });
  expectWrong(doesNotWait, [](int i) { return static_cast<float>(i % 4 + 1); });
}
