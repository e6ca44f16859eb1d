#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "kit/failure.h"
#include "job.h"
#include "scratch.h"

namespace polymla::cpu {

struct Stream;

/** A job and what it takes to run it: what a stream executes and a graph keeps. */
struct Launch {
  std::shared_ptr<const Job> job;
  /** Names the work in messages; lives as long as `owner`, or for ever when there is none. */
  const char *what = "";
  /** What its units get; null when they need none. */
  std::shared_ptr<const ScratchSet> scratch;
  std::shared_ptr<const void> owner;
};

/** Somebody who wants to hear once that a recording has happened or failed. */
struct Listener {
  void (*notify)(void *context);
  void *context;
  std::unique_ptr<Listener> next;
};

/** One recording of an event; guarded by the executor's lock. The event moves on, waiters keep what they wait
 * for. */
struct Recording {
  enum class State { Pending, Happened, Failed };
  State state = State::Pending;
  std::chrono::steady_clock::time_point time;
  std::shared_ptr<const Failure> failure;
  /** Streams that stand at a wait for it, linked by `Stream::next`. */
  Stream *waiting = nullptr;
  std::unique_ptr<Listener> listeners;
};

/** An element of a stream's queue: exactly one of the first three is set. */
struct Step {
  Launch launch;
  std::shared_ptr<Recording> record;
  std::shared_ptr<Recording> wait;
  std::unique_ptr<Step> next;
};

/** Steps in order. Moving them about takes no memory and cannot fail. */
class StepQueue {
public:
  StepQueue() = default;
  StepQueue(StepQueue &&other) noexcept
      : first_(std::move(other.first_)), last_(std::exchange(other.last_, nullptr)) {}
  /** One by one: chains may be longer than the stack is deep. */
  ~StepQueue() {
    while (first_ != nullptr) pop();
  }

  Step *first() const { return first_.get(); }
  void push(std::unique_ptr<Step> step) {
    Step *last = step.get();
    (last_ == nullptr ? first_ : last_->next) = std::move(step);
    last_ = last;
  }
  std::unique_ptr<Step> pop() {
    std::unique_ptr<Step> step = std::move(first_);
    first_ = std::move(step->next);
    if (first_ == nullptr) last_ = nullptr;
    return step;
  }
  void append(StepQueue &&other) {
    while (other.first() != nullptr) push(other.pop());
  }

private:
  std::unique_ptr<Step> first_;
  Step *last_ = nullptr;
};

/** A queue of steps, executed one after the other. All members are the executor's. */
struct Stream {
  /** The queue; the first one is under way while the stream is busy. */
  StepQueue queue;
  bool busy = false;
  /** How the stream failed; null while it has not. */
  std::shared_ptr<const Failure> failure;
  /** Where `failure` goes: made in advance, since a failure may be that memory is out. */
  std::shared_ptr<Failure> failureRoom = std::make_shared<Failure>();

  /** The phase of the first step's job that is under way. */
  int phase = 0;
  int64_t units = 0;
  std::atomic<int64_t> nextUnit{0};
  /** Workers that may be computing units of it. */
  int workers = 0;
  /** Whether workers find the stream in the executor's list. */
  bool listed = false;
  /** In the executor's list of streams with units to give away, or in a recording's list of waiting streams.
   */
  Stream *next = nullptr;
};

} // namespace polymla::cpu
