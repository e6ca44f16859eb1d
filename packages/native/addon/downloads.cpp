#include "downloads.h"

namespace polymla {

void Downloads::begin() {
  std::lock_guard lock(mutex_);
  underWay_++;
}

void Downloads::end() {
  std::lock_guard lock(mutex_);
  if (--underWay_ == 0) done_.notify_all();
}

bool Downloads::await(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return done_.wait_for(lock, limit, [&] { return underWay_ == 0; });
}

}  // namespace polymla
