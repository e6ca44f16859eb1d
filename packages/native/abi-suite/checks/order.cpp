#include <time.h>

#include <atomic>
#include <thread>

#include "../check.h"
#include "../work.h"

namespace polymla::suite {

namespace {

std::vector<std::vector<uint8_t>> aloneOn(const Device &device, Stream &stream, const std::vector<Sample> &all,
                                          uint64_t seed) {
  std::vector<std::vector<uint8_t>> results;
  for (const Sample &sample : all) {
    Work work(device, sample, {seed, 0xff, false});
    results.push_back(work.run(stream));
  }
  return results;
}

void awaitCount(const std::atomic<int> &count, int expected) {
  for (int i = 0; i < 60'000 && count < expected; i++) {
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

} // namespace

std::string checkEvents(const Context &context) {
  const pmla_library &table = context.subject.table();
  const Device device(context.subject);
  Stream stream(device), other(device);
  const Sample sample = doable(device, 1).front();
  Work work(device, sample, {context.seed, 0xff, false});
  const auto expected = work.run(stream);

  Event before(device), after(device);
  before.record(stream);
  work.upload(stream);
  work.launch(stream);
  after.record(stream);
  // Another stream fetches the results: only the event says when they are there.
  succeed("event_wait", [&](pmla_error *error) { return table.event_wait(after, other, error); });
  work.download(other);
  other.finish();
  require(work.outputs() == expected, "a stream that waited for an event has other results");
  after.wait();
  before.wait();
  double microseconds = -1;
  succeed("event_elapsed", [&](pmla_error *error) { return table.event_elapsed(before, after, &microseconds, error); });
  require(microseconds >= 0 && microseconds < 60e6, text("event_elapsed: %g us", microseconds));
  for (int i = 0; i < 3; i++) {
    after.record(stream);
    after.wait();
  }
  if (table.event_notify == nullptr) return "order, elapsed time, recording again; the host polls";

  std::atomic<int> notified{0};
  const auto notify = [](void *context) { ++*static_cast<std::atomic<int> *>(context); };
  work.upload(stream);
  work.launch(stream);
  after.record(stream);
  succeed("event_notify", [&](pmla_error *error) { return table.event_notify(after, notify, &notified, error); });
  awaitCount(notified, 1);
  after.wait();
  succeed("event_notify", [&](pmla_error *error) { return table.event_notify(after, notify, &notified, error); });
  awaitCount(notified, 2);
  const timespec pause{0, 50'000'000};
  nanosleep(&pause, nullptr);
  require(notified == 2, text("two events notified %d times", notified.load()));
  return "order, elapsed time, recording again, notification before and after the event";
}

std::string checkStreams(const Context &context) {
  const Device device(context.subject);
  Stream first(device), second(device);
  const auto all = doable(device, 6);
  const auto expected = aloneOn(device, first, all, context.seed);
  for (int64_t round = 0; round < 5 * context.effort; round++) {
    for (size_t i = 0; i < all.size(); i++) {
      const size_t j = (i + 1) % all.size();
      Work a(device, all[i], {context.seed, 0xff, false}), b(device, all[j], {context.seed, 0xff, false});
      a.upload(first);
      b.upload(second);
      a.launch(first);
      b.launch(second);
      a.download(first);
      b.download(second);
      second.finish();
      first.finish();
      require(a.outputs() == expected[i], all[i].name + " has other results beside " + all[j].name);
      require(b.outputs() == expected[j], all[j].name + " has other results beside " + all[i].name);
    }
  }
  return text("%zu problems, each beside the next", all.size());
}

std::string checkThreads(const Context &context) {
  const Device device(context.subject);
  Stream stream(device);
  const auto all = doable(device, 4);
  const auto expected = aloneOn(device, stream, all, context.seed);
  std::atomic<bool> done{false};
  std::string found[3];
  // What a thread throws is told by the main one.
  const auto guarded = [&](int thread, auto &&work) {
    return std::thread([&, thread, work] {
      try {
        work();
      } catch (const Failed &failed) {
        found[thread] = failed.what;
      } catch (const CallFailed &failed) {
        found[thread] = text("%s fails with status %d: ", failed.call.c_str(), failed.status) + failed.message;
      }
    });
  };
  std::thread workers[2];
  for (int i = 0; i < 2; i++) {
    workers[i] = guarded(i, [&] {
      Stream own(device);
      for (int64_t round = 0; round < 5 * context.effort; round++) {
        for (size_t n = 0; n < all.size(); n++) {
          Work work(device, all[n], {context.seed, 0xff, false});
          require(work.run(own) == expected[n], all[n].name + " has other results on one of two threads");
        }
      }
    });
  }
  std::thread disturber = guarded(2, [&] {
    while (!done) {
      const Device another(context.subject);
      void *memory = nullptr;
      succeed("alloc", [&](pmla_error *error) { return device.table.alloc(device, 1 << 20, &memory, error); });
      device.table.release(device, memory);
      askFit(device, &all.front().problem.head);
    }
  });
  for (auto &worker : workers) worker.join();
  done = true;
  disturber.join();
  for (const auto &what : found) require(what.empty(), what);
  return text("%zu problems on two threads, beside one that opens devices", all.size());
}

} // namespace polymla::suite
