#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace polymla {

/** Downloads under way into the memory of one environment, which must not go before they are done. Any thread. */
class Downloads {
 public:
  void begin();
  void end();
  /** Whether all were done before the time was up. */
  bool await(std::chrono::milliseconds limit);

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  size_t underWay_ = 0;
};

}  // namespace polymla
