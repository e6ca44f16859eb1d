#pragma once

#include <atomic>
#include <thread>

namespace polymla::cpu {

/** Tells the processor that this thread only waits for another. */
inline void pauseCpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

/**
 * For sections of some hundred instructions that all workers enter at once, as they do when a phase begins: a
 * mutex would put them to sleep one behind the other.
 */
class SpinLock {
public:
  void lock() {
    while (taken_.exchange(true, std::memory_order_acquire)) {
      for (int turn = 0; taken_.load(std::memory_order_relaxed); turn++) {
        if (turn < TURNS)
          pauseCpu();
        else
          std::this_thread::yield(); // the holder may have lost its processor
      }
    }
  }
  void unlock() { taken_.store(false, std::memory_order_release); }

private:
  static constexpr int TURNS = 100;
  std::atomic<bool> taken_{false};
};

} // namespace polymla::cpu
