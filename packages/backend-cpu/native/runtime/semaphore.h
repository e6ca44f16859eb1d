#pragma once

#include <condition_variable>
#include <mutex>

namespace polymla::cpu {

/** Counts wake-ups, so that one that comes before its sleeper is kept. (libstdc++ 12 has one that may sleep
 * for ever.) */
class Semaphore {
public:
  void acquire() {
    std::unique_lock hold(mutex_);
    ready_.wait(hold, [this] { return count_ > 0; });
    count_--;
  }
  void release(int count) {
    if (count == 0) return;
    {
      std::lock_guard hold(mutex_);
      count_ += count;
    }
    for (int i = 0; i < count; i++) ready_.notify_one();
  }

private:
  std::mutex mutex_;
  std::condition_variable ready_;
  int count_ = 0;
};

} // namespace polymla::cpu
