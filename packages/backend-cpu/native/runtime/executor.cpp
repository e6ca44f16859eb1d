#include "executor.h"

#include <algorithm>
#include <utility>

#include "system.h"

namespace polymla::cpu {

namespace {

/** How long an idle worker looks for work: launches of a decode step follow each other faster. */
constexpr std::chrono::microseconds SEARCH{50};
/** The same while others compute: what they compute has another phase or launch behind it, and waking takes as long as some. */
constexpr std::chrono::microseconds SEARCH_BESIDE{400};
/** Sleepers that one thread wakes; each of them wakes as many, so that all are up after log₂ n wake-ups. */
constexpr int64_t WAKE = 2;

} // namespace

/** What is left to do once the lock is released. */
struct Executor::Aftermath {
  StepQueue done;
  std::unique_ptr<Listener> listeners;
  /** Streams that may go on, linked by `next`. */
  Stream *released = nullptr;
  /** 1 on a worker's thread, which will serve what it offers; else 0. */
  int self;
  int wakeUps = 0;

  explicit Aftermath(int self) : self(self) {}
};

void Executor::enqueue(Stream &stream, StepQueue steps) {
  {
    std::lock_guard hold(lock_);
    stream.queue.append(std::move(steps));
    if (stream.busy) return;
    stream.busy = true;
    busyStreams_++;
  }
  drive(&stream, 0);
}

/** Takes a busy stream that nobody else has in hand as far as it goes without computing. */
void Executor::drive(Stream *stream, int self) {
  Aftermath after(self);
  {
    Hold hold(lock_);
    advance(*stream, hold, after);
    while (after.released != nullptr) {
      stream = after.released;
      after.released = stream->next;
      advance(*stream, hold, after);
    }
    // No stream or event of the host is touched below: it may free them as soon as it sees their work done.
  }
  wakeUps_.release(after.wakeUps);
  while (after.listeners != nullptr) {
    std::unique_ptr<Listener> listener = std::move(after.listeners);
    listener->notify(listener->context);
    after.listeners = std::move(listener->next);
  }
}

void Executor::advance(Stream &stream, Hold &hold, Aftermath &after) {
  while (Step *step = stream.queue.first()) {
    if (step->wait != nullptr) {
      Recording &recording = *step->wait;
      if (recording.state == Recording::State::Pending) {
        stream.next = recording.waiting;
        recording.waiting = &stream;
        return;
      }
      if (stream.failure == nullptr) stream.failure = recording.failure;
    } else if (step->record != nullptr) {
      settle(*step->record, stream, after);
    } else if (stream.failure == nullptr) {
      hold.unlock();
      const int64_t units = unitsOfNextPhase(stream, step->launch);
      hold.lock();
      if (units > 0) {
        offer(stream, units);
        after.wakeUps += sleepersFor(units - after.self);
        return;
      }
    }
    stream.phase = 0;
    after.done.push(stream.queue.pop());
  }
  stream.busy = false;
  if (--busyStreams_ == 0 && stopping_) after.wakeUps += std::exchange(sleeping_, 0);
}

/** Units of the first phase from `stream.phase` on that has any; 0 when the job is done or has failed. */
int64_t Executor::unitsOfNextPhase(Stream &stream, const Launch &launch) {
  try {
    for (const int phases = launch.job->phases(); stream.phase < phases; stream.phase++) {
      const int64_t units = launch.job->units(stream.phase);
      if (units > 0) return units;
    }
  } catch (...) {
    fail(stream, launch.what);
  }
  return 0;
}

/** Ends a recording as the stream stands, and lets go what waits for it. */
void Executor::settle(Recording &recording, const Stream &stream, Aftermath &after) {
  recording.time = std::chrono::steady_clock::now();
  recording.failure = stream.failure;
  recording.state = stream.failure == nullptr ? Recording::State::Happened : Recording::State::Failed;
  while (Stream *waiting = recording.waiting) {
    recording.waiting = waiting->next;
    waiting->next = after.released;
    after.released = waiting;
  }
  while (std::unique_ptr<Listener> listener = std::move(recording.listeners)) {
    recording.listeners = std::move(listener->next);
    listener->next = std::move(after.listeners);
    after.listeners = std::move(listener);
  }
}

/** Keeps the exception that is being handled, if it is the stream's first. */
void Executor::fail(Stream &stream, const char *what) {
  const Failure cause = currentFailure();
  std::lock_guard hold(lock_);
  if (stream.failure != nullptr) return;
  *stream.failureRoom = makeFailure(cause.status, cause.fix, "%s: %s", what, cause.message);
  stream.failure = stream.failureRoom;
}

// ---- Workers

void Executor::work(int thread) {
  while (Stream *stream = take()) {
    runUnits(*stream, thread);
    if (leave(*stream)) {
      stream->phase++;
      drive(stream, 1);
    }
  }
}

/** A stream with units to give away, which the caller has joined; null when there will be no more work. */
Stream *Executor::take() {
  Hold hold(lock_);
  searching_++;
  for (bool hopeful = true;;) {
    while (front_ != nullptr && front_->nextUnit.load(std::memory_order_relaxed) >= front_->units)
      withdraw(*front_);
    if (Stream *stream = front_) {
      searching_--;
      stream->workers++;
      const int wakeUps = sleepersFor(stream->units - stream->nextUnit.load(std::memory_order_relaxed) - 1);
      hold.unlock();
      wakeUps_.release(wakeUps);
      return stream;
    }
    if (stopping_ && busyStreams_ == 0) {
      searching_--;
      return nullptr;
    }
    if (hopeful) {
      const auto limit = busyStreams_ > 0 ? SEARCH_BESIDE : SEARCH;
      hold.unlock();
      hopeful = lookForWork(limit);
      hold.lock();
    } else {
      searching_--;
      sleeping_++;
      hold.unlock();
      wakeUps_.acquire();
      hold.lock();
      searching_++;
      hopeful = true;
    }
  }
}

bool Executor::lookForWork(std::chrono::microseconds limit) const {
  constexpr int LOOKS = 32;
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int look = 0; look < LOOKS; look++) {
      if (listed_.load(std::memory_order_relaxed) > 0) return true;
      pauseCpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

void Executor::runUnits(Stream &stream, int thread) {
  const Launch &launch = stream.queue.first()->launch;
  const Scratch scratch = launch.scratch == nullptr ? Scratch{nullptr, 0} : launch.scratch->of(thread);
  int64_t unit;
  while ((unit = stream.nextUnit.fetch_add(1, std::memory_order_relaxed)) < stream.units) {
    try {
      // Threads take turns as long as units cost the same.
      const int64_t next = unit + threads();
      launch.job->runBefore(stream.phase, unit, next < stream.units ? next : -1, scratch);
    } catch (...) {
      fail(stream, launch.what);
      stream.nextUnit.store(stream.units, std::memory_order_relaxed);
    }
  }
}

/** Whether the phase is done and the caller has the stream in hand. */
bool Executor::leave(Stream &stream) {
  std::lock_guard hold(lock_);
  if (stream.listed) withdraw(stream);
  return --stream.workers == 0;
}

/** Puts a stream at the end of the list that workers serve. */
void Executor::offer(Stream &stream, int64_t units) {
  stream.units = units;
  stream.nextUnit.store(0, std::memory_order_relaxed);
  stream.next = nullptr;
  stream.listed = true;
  (front_ == nullptr ? front_ : back_->next) = &stream;
  back_ = &stream;
  listed_.fetch_add(1, std::memory_order_relaxed);
}

/** Takes a stream whose units are all given away off the list. */
void Executor::withdraw(Stream &stream) {
  Stream *before = nullptr;
  for (Stream *at = front_; at != &stream; at = at->next) before = at;
  (before == nullptr ? front_ : before->next) = stream.next;
  if (back_ == &stream) back_ = before;
  stream.listed = false;
  listed_.fetch_sub(1, std::memory_order_relaxed);
}

/** How many sleepers to wake for so many units; counts them as woken. */
int Executor::sleepersFor(int64_t units) {
  const int64_t wanted = std::clamp<int64_t>(units - searching_, 0, WAKE);
  const int woken = static_cast<int>(std::min<int64_t>(wanted, sleeping_));
  sleeping_ -= woken;
  return woken;
}

// ---- What hosts ask

Executor::Standing Executor::standing(const Stream &stream) {
  std::lock_guard hold(lock_);
  if (stream.busy) return Standing::Busy;
  return stream.failure == nullptr ? Standing::Idle : Standing::Failed;
}

void Executor::release(std::unique_ptr<Stream> stream) {
  {
    // Whoever finished its last step may still hold the lock.
    std::lock_guard hold(lock_);
  }
  stream.reset();
}

void Executor::setRecording(std::shared_ptr<Recording> &event, std::shared_ptr<Recording> made) {
  std::lock_guard hold(lock_);
  event.swap(made);
}

std::shared_ptr<Recording> Executor::recordingOf(const std::shared_ptr<Recording> &event) {
  std::lock_guard hold(lock_);
  return event;
}

Recording::State Executor::stateOf(const Recording &recording) {
  std::lock_guard hold(lock_);
  return recording.state;
}

void Executor::listen(Recording &recording, std::unique_ptr<Listener> listener) {
  {
    std::lock_guard hold(lock_);
    if (recording.state == Recording::State::Pending) {
      listener->next = std::move(recording.listeners);
      recording.listeners = std::move(listener);
      return;
    }
  }
  listener->notify(listener->context);
}

// ---- Threads

Executor::Executor(int threads, const std::vector<int> &processors) {
  const SignalsBlocked signals; // workers inherit it: signals are for the host's threads
  const size_t count = static_cast<size_t>(threads);
  const Failure failure = attempt([&] {
    workers_.reserve(count);
    for (size_t i = 0; i < count; i++) {
      workers_.emplace_back([this, i] { work(static_cast<int>(i)); });
      if (!processors.empty()) pinThread(workers_.back(), processors[i % processors.size()]);
    }
  });
  if (failure.status == PMLA_OK) return;
  const size_t started = workers_.size();
  stop();
  if (failure.status != PMLA_INTERNAL) throw failure;
  throw makeFailure(PMLA_OUT_OF_MEMORY, "Use fewer threads, or allow the process more",
                    "%zu of %zu threads started: %s", started, count, failure.message);
}

Executor::~Executor() { stop(); }

void Executor::stop() {
  int woken;
  {
    std::lock_guard hold(lock_);
    stopping_ = true;
    woken = std::exchange(sleeping_, 0);
  }
  wakeUps_.release(woken);
  for (std::thread &worker : workers_) worker.join();
  workers_.clear();
}

} // namespace polymla::cpu
