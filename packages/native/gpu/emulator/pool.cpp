#include "pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "insist.h"

namespace polymla::emulator {
namespace {

/** A launch's blocks, which whoever is free takes. */
struct Share {
  const std::function<void(unsigned)> &run;
  const unsigned blocks;
  std::atomic<unsigned> next{0};
  int helpers = 0; ///< at work on it; under the pool's mutex

  void work() {
    for (unsigned block = next++; block < blocks; block = next++) run(block);
  }
};

/**
 * Threads that run blocks; they live as long as the process, and so do the thousand fibers that each of them has. Streams, which
 * come and go, only wait for them.
 */
class Pool {
public:
  Pool() {
    const unsigned count = std::max(std::thread::hardware_concurrency(), 1u);
    for (unsigned i = 0; i < count; i++) {
      insist([this] { std::thread([this] { help(); }).detach(); });
    }
  }

  void run(Share &share) {
    std::unique_lock hold(mutex_);
    insist([&] { shares_.push_back(&share); });
    arrived_.notify_all();
    left_.wait(hold, [&] { return share.helpers == 0 && share.next >= share.blocks; });
    std::erase(shares_, &share);
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
  static Pool *const pool = [] {
    Pool *made;
    insist([&] { made = new Pool; });
    return made;
  }();
  Share share{run, blocks};
  pool->run(share);
}

} // namespace polymla::emulator
