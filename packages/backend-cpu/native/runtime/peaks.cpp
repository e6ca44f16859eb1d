#include "peaks.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>

namespace polymla::cpu {

namespace {

constexpr int ROUNDS = 3;
constexpr double COMPUTE_SECONDS = 0.03;
constexpr std::chrono::microseconds POLL{100};
constexpr uint64_t LEAST_READ = uint64_t{1} << 30;
/** Beyond the largest block that is worth faulting in. */
constexpr uint64_t MOST_READ = uint64_t{4} << 30;

/** Something that every thread of the device does once, all of them beginning together. */
class EveryThread final : public Job {
public:
  using Task = std::function<void(int thread)>;
  EveryThread(int threads, const Task &task) : threads_(threads), task_(task) {}

  int phases() const override { return 1; }
  int64_t units(int) const override { return threads_; }
  void run(int, int64_t unit, Scratch) const override {
    arrived_.fetch_add(1);
    // A thread that waits here takes no second unit.
    while (arrived_.load() < threads_) std::this_thread::yield();
    task_(static_cast<int>(unit));
  }

private:
  const int threads_;
  const Task &task_;
  mutable std::atomic<int> arrived_{0};
};

void onEveryThread(Device &device, const EveryThread::Task &task) {
  auto stream = std::make_unique<Stream>();
  auto done = std::make_shared<Recording>();
  StepQueue steps;
  steps.push(std::make_unique<Step>());
  steps.first()->launch = {std::make_shared<EveryThread>(device.executor.threads(), task), "measuring peaks",
                           nullptr, nullptr};
  auto end = std::make_unique<Step>();
  end->record = done;
  steps.push(std::move(end));
  device.executor.enqueue(*stream, std::move(steps));
  while (device.executor.stateOf(*done) == Recording::State::Pending) std::this_thread::sleep_for(POLL);
  device.executor.release(std::move(stream));
  if (done->failure != nullptr) throw *done->failure;
}

/** The best sum over the threads of what `measure` returns. */
double bestSum(Device &device, const std::function<double(int thread)> &measure) {
  std::vector<double> rates(static_cast<size_t>(device.executor.threads()));
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    onEveryThread(device, [&](int thread) { rates[static_cast<size_t>(thread)] = measure(thread); });
    double sum = 0;
    for (const double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

double readRate(Device &device) {
  const uint64_t wanted = std::clamp(2 * lastLevelCacheBytes(), LEAST_READ, MOST_READ);
  const uint64_t threads = static_cast<uint64_t>(device.executor.threads());
  const uint64_t part = std::min(wanted, memoryInfo().available / 4) / threads / 4096 * 4096;
  if (part == 0) return 0;
  std::unique_ptr<std::byte, std::function<void(std::byte *)>> memory(
      static_cast<std::byte *>(device.memory.allocate(part * threads)),
      [&](std::byte *block) { device.memory.release(block); });
  onEveryThread(
      device, [&](int thread) { memset(memory.get() + part * static_cast<uint64_t>(thread), thread, part); });

  using Clock = std::chrono::steady_clock;
  std::atomic<uint64_t> sum{0};
  std::vector<Clock::time_point> begins(threads);
  std::vector<Clock::time_point> ends(threads);
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    onEveryThread(device, [&](int thread) {
      const size_t i = static_cast<size_t>(thread);
      begins[i] = Clock::now();
      sum.fetch_add(device.kernels.readAll(memory.get() + part * i, part));
      ends[i] = Clock::now();
    });
    const auto time =
        *std::max_element(ends.begin(), ends.end()) - *std::min_element(begins.begin(), begins.end());
    best = std::max(best, static_cast<double>(part * threads) / std::chrono::duration<double>(time).count());
  }
  return best;
}

} // namespace

Peaks measurePeaks(Device &device) {
  const Kernels &kernels = device.kernels;
  const double f32 = bestSum(device, [&](int) { return kernels.peakF32(COMPUTE_SECONDS); });
  const double bf16 = bestSum(device, [&](int) { return kernels.peakBf16(COMPUTE_SECONDS); });
  // Operands without a unit of their own are converted to fp32; f16 always is, as the units for it sum in
  // f16.
  return {readRate(device), f32, bf16 > 0 ? bf16 : f32, f32};
}

} // namespace polymla::cpu
