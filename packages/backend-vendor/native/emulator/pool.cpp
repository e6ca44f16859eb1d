#include "pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace polymla::emulator {
namespace {

/** A launch's blocks, which whoever is free takes. */
struct Share {
  const std::function<void(unsigned)> &run;
  const unsigned blocks;
  std::atomic<unsigned> next{0};
  int helpers = 0; ///< under the pool's mutex

  void work() {
    for (unsigned block = next++; block < blocks; block = next++) run(block);
  }
};

/** Threads that help; they live as long as the process. */
class Pool {
public:
  Pool() {
    const unsigned count = std::max(std::thread::hardware_concurrency(), 1u) - 1;
    for (unsigned i = 0; i < count; i++) std::thread([this] { help(); }).detach();
  }

  void run(Share &share) {
    {
      const std::lock_guard hold(mutex_);
      shares_.push_back(&share);
    }
    arrived_.notify_all();
    share.work();
    std::unique_lock hold(mutex_);
    std::erase(shares_, &share);
    left_.wait(hold, [&] { return share.helpers == 0; });
  }

private:
  void help() {
    std::unique_lock hold(mutex_);
    for (;;) {
      arrived_.wait(hold, [&] { return !shares_.empty(); });
      Share &share = *shares_.front();
      share.helpers++;
      hold.unlock();
      share.work();
      hold.lock();
      // Nothing of it is left to take.
      std::erase(shares_, &share);
      share.helpers--;
      left_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable left_;
  std::deque<Share *> shares_;
};

} // namespace

void forEachBlock(unsigned blocks, const std::function<void(unsigned)> &run) {
  static auto *const pool = new Pool;
  Share share{run, blocks};
  if (blocks == 1) share.work();
  else pool->run(share);
}

} // namespace polymla::emulator
