#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "semaphore.h"
#include "spin-lock.h"
#include "stream.h"

namespace polymla::cpu {

/**
 * Executes streams on a fixed number of threads. There is no thread per stream: whoever finishes the last
 * unit of a phase takes the stream on to its next phase or step, and phases with units to give away are in a
 * list that all workers serve from the front. An idle worker looks for work for a moment before it sleeps, so
 * launches that follow each other start within microseconds.
 */
class Executor {
public:
  /** @param processors where to pin threads, one after the other; empty: anywhere. Throws Failure. */
  Executor(int threads, const std::vector<int> &processors);
  /** Finishes all work. */
  ~Executor();
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  int threads() const { return static_cast<int>(workers_.size()); }

  void enqueue(Stream &stream, StepQueue steps);

  enum class Standing { Idle, Busy, Failed };
  /** Idle and Failed last until the caller enqueues. */
  Standing standing(const Stream &stream);
  /** Frees a stream whose work is done; what is left of it is dropped. */
  void release(std::unique_ptr<Stream> stream);

  /** Puts `made` into `event`, whose readers may be on other threads. */
  void setRecording(std::shared_ptr<Recording> &event, std::shared_ptr<Recording> made);
  std::shared_ptr<Recording> recordingOf(const std::shared_ptr<Recording> &event);
  Recording::State stateOf(const Recording &recording);
  /** Calls the listener once, now when the recording is no longer pending. */
  void listen(Recording &recording, std::unique_ptr<Listener> listener);

private:
  using Hold = std::unique_lock<SpinLock>;
  struct Aftermath;

  void work(int thread);
  Stream *take();
  bool leave(Stream &stream);
  void runUnits(Stream &stream, int thread);
  void drive(Stream *stream, int self);
  void advance(Stream &stream, Hold &hold, Aftermath &after);
  int64_t unitsOfNextPhase(Stream &stream, const Launch &launch);
  void offer(Stream &stream, int64_t units);
  void withdraw(Stream &stream);
  void settle(Recording &recording, const Stream &stream, Aftermath &after);
  void fail(Stream &stream, const char *what);
  bool lookForWork(std::chrono::microseconds limit) const;
  int sleepersFor(int64_t units);
  void stop();

  SpinLock lock_;
  /** Streams with units to give away, first come first served; `listed_` is its length, for idle workers to
   * look at. */
  Stream *front_ = nullptr;
  Stream *back_ = nullptr;
  std::atomic<int> listed_{0};
  int busyStreams_ = 0;
  /** Workers that look for work, and that sleep and nobody has woken. */
  int searching_ = 0;
  int sleeping_ = 0;
  bool stopping_ = false;
  Semaphore wakeUps_;
  std::vector<std::thread> workers_;
};

} // namespace polymla::cpu
