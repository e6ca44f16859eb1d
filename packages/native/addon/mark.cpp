#include "mark.h"

#include <thread>

namespace polymla {

pmla_event EventPool::take(const std::string &deviceId) {
  {
    std::lock_guard lock(mutex_);
    if (!events_.empty()) {
      const pmla_event event = events_.back();
      events_.pop_back();
      return event;
    }
  }
  pmla_event event = nullptr;
  ErrorRecord error;
  const pmla_status status = table_.event_new(device_, &event, error.get());
  if (status != PMLA_OK) throw error.failure(status, "event_new", deviceId);
  if (!event) throw Failure{PMLA_INTERNAL, 0, "event_new gave no event", "", deviceId};
  return event;
}

void EventPool::give(pmla_event event, bool reusable) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  if (reusable) {
    events_.push_back(event);
  } else {
    table_.event_free(event);
  }
}

void EventPool::close() {
  std::lock_guard lock(mutex_);
  for (const pmla_event event : events_) table_.event_free(event);
  events_.clear();
  closed_ = true;
}

Mark::Mark(std::shared_ptr<EventPool> pool, Failure failure)
    : pool_(std::move(pool)), event_(nullptr), state_(FAILED), failure_(std::move(failure)) {}

Mark::~Mark() {
  if (event_) pool_->give(event_, state_.load(std::memory_order_acquire) == DONE);
}

bool Mark::poll(const std::string &deviceId) {
  if (settled()) return true;
  ErrorRecord error;
  const pmla_status status = pool_->table().event_query(event_, error.get());
  if (status == PMLA_NOT_READY) return settled();
  if (status == PMLA_OK) {
    settle(DONE, nullptr);
  } else {
    fail(error.failure(status, "event_query", deviceId));
  }
  return settled();
}

void Mark::fail(const Failure &failure) { settle(FAILED, &failure); }

void Mark::settle(State state, const Failure *failure) {
  int expected = PENDING;
  if (!state_.compare_exchange_strong(expected, SETTLING)) {
    while (!settled()) std::this_thread::yield();
    return;
  }
  if (failure) failure_ = *failure;
  state_.store(state, std::memory_order_release);
}

}  // namespace polymla
