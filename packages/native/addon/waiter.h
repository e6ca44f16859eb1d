#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mark.h"

namespace polymla {

using Marks = std::vector<std::shared_ptr<Mark>>;

/** What is to be done once a number of marks are settled. */
struct Task {
  size_t left;
  std::function<void()> run;
};

/**
 * The one thread of a device that waits. It sleeps while nothing is awaited, is told by the library where that has
 * `event_notify`, and else asks after each awaited event, ever less often.
 */
class Waiter : public std::enable_shared_from_this<Waiter> {
 public:
  /** Starts the thread, which lasts until `finish`. Throws std::system_error. */
  static std::shared_ptr<Waiter> start(const Library &library, std::string deviceId);

  /** Runs `then` on the waiter's thread when all marks are settled. Any thread. */
  void after(Marks marks, std::function<void()> then);
  /** Runs what has become due, on the calling thread, without waiting. */
  void sweep();
  /** The device is lost: every mark that is awaited, now or later, fails that way. */
  void lose(const Failure &failure);
  bool isLost() const { return isLost_.load(std::memory_order_acquire); }
  /** How the device was lost, if it was. */
  std::optional<Failure> lost();
  /** Keeps the thread, and with it the device, for something that happens on another thread. */
  void hold();
  void release();
  /** Runs `last` after everything else, then ends the thread. */
  void finish(std::function<void()> last);
  /** The library's word that an event has happened. */
  void notified(const std::weak_ptr<Mark> &told);

 private:
  Waiter(const Library &library, std::string deviceId) : library_(library), deviceId_(std::move(deviceId)) {}
  void run();
  void setLost(const Failure &failure);
  void look(std::unique_lock<std::mutex> &lock, bool all);
  void subscribe(const std::shared_ptr<Mark> &mark);
  void runDue(std::unique_lock<std::mutex> &lock);

  const Library &library_;
  const std::string deviceId_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Marks watched_;
  std::vector<std::shared_ptr<Task>> due_;
  std::function<void()> last_;
  std::optional<Failure> lost_;
  std::atomic<bool> isLost_{false};
  int holds_ = 0;
  bool news_ = false;
};

}  // namespace polymla
