#include "waiter.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <unordered_map>
#include <utility>

namespace polymla {
namespace {

using namespace std::chrono_literals;
constexpr auto SHORTEST_PAUSE = 20us;
constexpr auto LONGEST_PAUSE = 2000us;

/**
 * Who is to be told of which event. Libraries get a number and not an address: one that notifies twice, or after the
 * device is gone, does no harm.
 */
class Notifications {
 public:
  static Notifications &instance() {
    static auto &only = *new Notifications;
    return only;
  }

  void *add(const std::shared_ptr<Waiter> &waiter, const std::shared_ptr<Mark> &mark) {
    std::lock_guard lock(mutex_);
    entries_[++last_] = {waiter, mark};
    return reinterpret_cast<void *>(last_);
  }

  void remove(void *context) {
    std::lock_guard lock(mutex_);
    entries_.erase(reinterpret_cast<uintptr_t>(context));
  }

  static void notify(void *context) {
    auto &self = instance();
    Entry told;
    {
      std::lock_guard lock(self.mutex_);
      const auto entry = self.entries_.find(reinterpret_cast<uintptr_t>(context));
      if (entry == self.entries_.end()) return;
      told = entry->second;
      self.entries_.erase(entry);
    }
    if (const auto waiter = told.waiter.lock()) waiter->notified(told.mark);
  }

 private:
  struct Entry {
    std::weak_ptr<Waiter> waiter;
    std::weak_ptr<Mark> mark;
  };
  std::mutex mutex_;
  std::unordered_map<uintptr_t, Entry> entries_;
  uintptr_t last_ = 0;
};

}  // namespace

std::shared_ptr<Waiter> Waiter::start(const Library &library, std::string deviceId) {
  const std::shared_ptr<Waiter> waiter(new Waiter(library, std::move(deviceId)));
  std::thread([waiter] { waiter->run(); }).detach();
  return waiter;
}

void Waiter::after(Marks marks, std::function<void()> then) {
  const auto task = std::make_shared<Task>(Task{0, std::move(then)});
  std::lock_guard lock(mutex_);
  for (const auto &mark : marks) {
    if (lost_) mark->fail(*lost_);
    if (mark->settled()) continue;
    task->left++;
    mark->tasks.push_back(task);
    if (mark->watch != Mark::Watch::NONE) continue;
    mark->watch = Mark::Watch::FRESH;
    watched_.push_back(mark);
  }
  if (task->left == 0) due_.push_back(task);
  news_ = true;
  wake_.notify_one();
}

void Waiter::sweep() {
  std::unique_lock lock(mutex_);
  look(lock, true);
  runDue(lock);
}

void Waiter::lose(const Failure &failure) {
  std::lock_guard lock(mutex_);
  setLost(failure);
  for (const auto &mark : watched_) mark->fail(*lost_);
  news_ = true;
  wake_.notify_one();
}

void Waiter::setLost(const Failure &failure) {
  if (!lost_) lost_ = failure;
  isLost_.store(true, std::memory_order_release);
}

std::optional<Failure> Waiter::lost() {
  std::lock_guard lock(mutex_);
  return lost_;
}

void Waiter::hold() {
  std::lock_guard lock(mutex_);
  holds_++;
}

void Waiter::release() {
  std::lock_guard lock(mutex_);
  holds_--;
  news_ = true;
  wake_.notify_one();
}

void Waiter::finish(std::function<void()> last) {
  std::lock_guard lock(mutex_);
  last_ = std::move(last);
  news_ = true;
  wake_.notify_one();
}

void Waiter::notified(const std::weak_ptr<Mark> &told) {
  std::lock_guard lock(mutex_);
  // Held no longer than the mutex: a mark must be gone when its device is closed.
  const auto mark = told.lock();
  if (!mark) return;
  // Should the event not have happened after all, it is asked after from now on.
  mark->watch = Mark::Watch::POLLED;
  news_ = true;
  wake_.notify_one();
}

void Waiter::run() {
  auto pause = SHORTEST_PAUSE;
  std::unique_lock lock(mutex_);
  while (!watched_.empty() || !due_.empty() || holds_ > 0 || !last_) {
    if (news_) pause = SHORTEST_PAUSE;
    news_ = false;
    look(lock, false);
    if (!due_.empty()) pause = SHORTEST_PAUSE;
    runDue(lock);
    const auto hasNews = [&] { return news_; };
    const bool polls = std::any_of(watched_.begin(), watched_.end(),
                                   [](const auto &mark) { return mark->watch == Mark::Watch::POLLED; });
    if (polls) {
      wake_.wait_for(lock, pause, hasNews);
      pause = std::min(2 * pause, LONGEST_PAUSE);
    } else if (!watched_.empty() || holds_ > 0 || !last_) {
      wake_.wait(lock, hasNews);
    }
  }
  const auto last = std::move(last_);
  lock.unlock();
  last();
}

/** Asks after the marks that are new or polled, or after all; moves what has thereby become due. */
void Waiter::look(std::unique_lock<std::mutex> &lock, bool all) {
  Marks asked, fresh;
  for (const auto &mark : watched_) {
    if (mark->watch == Mark::Watch::FRESH && !all) {
      mark->watch = Mark::Watch::NOTIFIED_LATER;
      fresh.push_back(mark);
    } else if (mark->watch == Mark::Watch::POLLED || all) {
      asked.push_back(mark);
    }
  }
  const bool gone = lost_.has_value();
  if (!gone && !(fresh.empty() && asked.empty())) {
    lock.unlock();
    for (const auto &mark : asked) mark->poll(deviceId_);
    for (const auto &mark : fresh) {
      if (!mark->poll(deviceId_)) subscribe(mark);
    }
    lock.lock();
  }
  for (const auto &mark : watched_) {
    if (lost_) mark->fail(*lost_);
    const Failure *failure = mark->settled() ? mark->failure() : nullptr;
    if (failure && failure->status == PMLA_DEVICE_LOST) setLost(*failure);
  }
  std::erase_if(watched_, [&](const auto &mark) {
    if (lost_) mark->fail(*lost_);
    if (!mark->settled()) return false;
    for (const auto &task : mark->tasks) {
      if (--task->left == 0) due_.push_back(task);
    }
    mark->tasks.clear();
    mark->watch = Mark::Watch::NONE;
    return true;
  });
}

/** Has the library tell of a mark's event, or leaves the mark to be polled. The mutex is not held. */
void Waiter::subscribe(const std::shared_ptr<Mark> &mark) {
  const auto notify = library_.table().event_notify;
  if (notify) {
    void *context = Notifications::instance().add(shared_from_this(), mark);
    ErrorRecord error;
    if (notify(mark->event(), Notifications::notify, context, error.get()) == PMLA_OK) return;
    Notifications::instance().remove(context);
  }
  std::lock_guard lock(mutex_);
  mark->watch = Mark::Watch::POLLED;
}

void Waiter::runDue(std::unique_lock<std::mutex> &lock) {
  auto due = std::exchange(due_, {});
  lock.unlock();
  for (const auto &task : due) task->run();
  due.clear();
  lock.lock();
}

}  // namespace polymla
