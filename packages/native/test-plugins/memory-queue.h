/*
 * The stream of memory.cpp: a queue that one thread works off, and the points of it that events mark.
 */
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

using Clock = std::chrono::steady_clock;
using Step = std::function<void()>;

/* A point of a stream that work passes once: an event is the last of those it was recorded at. */
struct Mark {
  std::mutex mutex;
  std::condition_variable passed;
  bool done = false;
  bool failed = false;
  Clock::time_point time;
  std::vector<std::pair<void (*)(void *), void *>> listeners;

  void pass(bool asFailed) {
    std::vector<std::pair<void (*)(void *), void *>> told;
    {
      std::lock_guard<std::mutex> lock(mutex);
      done = true;
      failed = asFailed;
      time = Clock::now();
      told.swap(listeners);
      passed.notify_all();
    }
    for (auto &[notify, context] : told) notify(context);
  }

  bool waitAndFailed() {
    std::unique_lock<std::mutex> lock(mutex);
    passed.wait(lock, [&] { return done; });
    return failed;
  }
};

/* What the thread of a stream works on. The thread ends by itself once the stream is freed and its work is done. */
struct Queue {
  /* Work that takes time and can fail, and moves between streams that do neither. */
  struct Entry {
    Step work;
    std::function<bool()> fails;
    std::function<void(bool failed)> mark;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Entry> entries;
  bool closing = false;
  bool working = false;

  void push(Entry entry) {
    std::lock_guard<std::mutex> lock(mutex);
    entries.push_back(std::move(entry));
    changed.notify_one();
  }

  void run(std::chrono::milliseconds latency, int64_t failStep) {
    bool failed = false;
    int64_t step = 0;
    for (;;) {
      Entry entry;
      {
        std::unique_lock<std::mutex> lock(mutex);
        working = false;
        changed.wait(lock, [&] { return closing || !entries.empty(); });
        if (entries.empty()) return;
        entry = std::move(entries.front());
        entries.pop_front();
        working = !entry.mark;
      }
      if (entry.mark) {
        entry.mark(failed);
      } else if (entry.fails) {
        failed = entry.fails() || failed;
      } else if (!failed) {
        if (latency.count() > 0) std::this_thread::sleep_for(latency);
        if (++step == failStep) failed = true;
        if (!failed) entry.work();
      }
    }
  }
};
