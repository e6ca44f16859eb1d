#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "failure.h"
#include "library.h"

namespace polymla {

/** Events of a device that nobody uses now. Any thread. */
class EventPool {
 public:
  EventPool(const pmla_library &table, pmla_device device) : table_(table), device_(device) {}
  const pmla_library &table() const { return table_; }
  /** An event for recording. Throws Failure. */
  pmla_event take(const std::string &deviceId);
  /** Takes an event back: to be recorded again, or, when it has failed, to be freed. */
  void give(pmla_event event, bool reusable);
  /** Frees all events; the device is about to be closed. */
  void close();

 private:
  const pmla_library &table_;
  const pmla_device device_;
  std::mutex mutex_;
  std::vector<pmla_event> events_;
  bool closed_ = false;
};

struct Task;

/**
 * A point in a stream's queue: an event recorded there and, once known, how the work before it ended. Must not be dropped
 * before that, nor while a stream may still wait for it.
 */
class Mark {
 public:
  Mark(std::shared_ptr<EventPool> pool, pmla_event event) : pool_(std::move(pool)), event_(event) {}
  /** A mark that could not be recorded because the stream has failed. */
  Mark(std::shared_ptr<EventPool> pool, Failure failure);
  ~Mark();
  Mark(const Mark &) = delete;
  Mark &operator=(const Mark &) = delete;

  /** Whether the work before it is known to have ended. Any thread. */
  bool settled() const { return state_.load(std::memory_order_acquire) > SETTLING; }
  /** Asks the library unless it is known already. Any thread. */
  bool poll(const std::string &deviceId);
  /** How the work failed; NULL when it has not. Only of a settled mark. */
  const Failure *failure() const { return state_.load(std::memory_order_acquire) == FAILED ? &failure_ : nullptr; }
  void fail(const Failure &failure);
  pmla_event event() const { return event_; }

  /** Whether a stream was told to wait for it. JavaScript's thread only. */
  bool awaited = false;

  /** The waiter's, under its mutex: who waits for the mark, and how the waiter learns of its end. */
  std::vector<std::shared_ptr<Task>> tasks;
  enum class Watch { NONE, FRESH, NOTIFIED_LATER, POLLED } watch = Watch::NONE;

 private:
  enum State { PENDING, SETTLING, DONE, FAILED };
  void settle(State state, const Failure *failure);

  const std::shared_ptr<EventPool> pool_;
  const pmla_event event_;
  std::atomic<int> state_{PENDING};
  Failure failure_;
};

}  // namespace polymla
