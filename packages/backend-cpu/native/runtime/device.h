#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "../kernels/kernels.h"
#include "executor.h"
#include "memory.h"
#include "scratch.h"
#include "system.h"

namespace polymla::cpu {

/** An opened device: kernels of one instruction set, threads, memory. */
class Device {
public:
  Device(const Kernels &kernels, int threads, bool pin)
      : kernels(kernels), executor(threads, pin ? usableProcessors() : std::vector<int>()) {}

  /** Scratch of at least so many bytes per thread; null for 0. */
  std::shared_ptr<const ScratchSet> scratch(size_t bytes) {
    if (bytes == 0) return nullptr;
    std::lock_guard hold(mutex_);
    if (scratch_ == nullptr || scratch_->bytes() < bytes) {
      scratch_ = std::make_shared<const ScratchSet>(executor.threads(), bytes);
    }
    return scratch_;
  }

  /** Whether this process is not the one that opened the device, but forked from it: there are no threads
   * here. */
  bool lost() const { return forkCount() != forks_; }

  const Kernels &kernels;
  Memory memory;
  Executor executor;

private:
  std::mutex mutex_;
  std::shared_ptr<const ScratchSet> scratch_;
  const unsigned forks_ = forkCount();
};

} // namespace polymla::cpu
