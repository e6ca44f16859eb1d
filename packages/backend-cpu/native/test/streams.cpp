// Streams, events and graphs, with jobs made here: order, independence, failures that stick, what a graph
// cannot hold.

#include <functional>
#include <thread>
#include <vector>

#include "../abi/enqueue.h"
#include "host.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

using Task = std::function<void(int phase, int64_t unit)>;

class TaskJob final : public Job {
public:
  TaskJob(std::vector<int64_t> units, Task task) : units_(std::move(units)), task_(std::move(task)) {}
  int phases() const override { return static_cast<int>(units_.size()); }
  int64_t units(int phase) const override { return units_[static_cast<size_t>(phase)]; }
  void run(int phase, int64_t unit, Scratch) const override { task_(phase, unit); }

private:
  std::vector<int64_t> units_;
  Task task_;
};

/** A device with two streams, freed when all is done. */
struct Bench {
  explicit Bench(const char *threads) : device(openDevice({{"threads", threads}})) {
    OK(l.stream_new(device, nullptr, &a, nullptr));
    OK(l.stream_new(device, nullptr, &b, nullptr));
  }
  ~Bench() {
    for (pmla_event event : events) l.event_free(event);
    l.stream_free(a);
    l.stream_free(b);
    l.close(device);
  }
  void run(pmla_stream stream, std::vector<int64_t> units, Task task) {
    enqueue(*pointed(stream),
            {std::make_shared<TaskJob>(std::move(units), std::move(task)), "task", nullptr, nullptr});
  }
  void run(pmla_stream stream, std::function<void()> task) {
    run(stream, {1}, [task](int, int64_t) { task(); });
  }
  pmla_event record(pmla_stream stream) {
    pmla_event event = nullptr;
    OK(l.event_new(device, &event, nullptr));
    OK(l.event_record(event, stream, nullptr));
    events.push_back(event);
    return event;
  }
  const pmla_library &l = library();
  pmla_device device;
  pmla_stream a = nullptr;
  pmla_stream b = nullptr;
  std::vector<pmla_event> events;
};

/** Something that a job waits for until the test opens it. */
class Gate {
public:
  void open() { open_ = true; }
  void wait() const {
    while (!open_) std::this_thread::yield();
  }

private:
  std::atomic<bool> open_{false};
};

void runsEveryUnitOncePhaseByPhase() {
  for (const char *threads : {"1", "2", "5"}) {
    Bench bench(threads);
    constexpr int64_t UNITS = 1000;
    std::vector<std::atomic<int>> counts(3 * UNITS);
    std::atomic<int64_t> done{0};
    std::atomic<bool> early{false};
    for (int launch = 0; launch < 10; launch++) {
      bench.run(bench.a, {UNITS, 0, UNITS, 1}, [&, launch](int phase, int64_t unit) {
        const int64_t before = launch * (2 * UNITS + 1) + (phase == 0 ? 0 : phase == 2 ? UNITS : 2 * UNITS);
        if (done.load() < before) early = true;
        counts[static_cast<size_t>((phase == 3 ? 2 : phase / 2) * UNITS + unit)]++;
        done++;
      });
    }
    EXPECT(finishWork(bench.device, bench.a) == PMLA_OK);
    EXPECT(!early);
    for (size_t i = 0; i <= 2 * UNITS; i++) EXPECT(counts[i] == 10);
  }
}

void streamsDoNotHoldUpEachOther() {
  Bench bench("2");
  Gate gate;
  bench.run(bench.a, [&] { gate.wait(); });
  bench.run(bench.b, [] {});
  EXPECT(finishWork(bench.device, bench.b) == PMLA_OK);
  gate.open();
  EXPECT(finishWork(bench.device, bench.a) == PMLA_OK);
}

void waitsHoldForTheRecordingOfThen() {
  Bench bench("2");
  Gate first;
  Gate second;
  std::atomic<int> order{0};
  int seen = -1;
  bench.run(bench.a, [&] {
    first.wait();
    order = 1;
  });
  const pmla_event event = bench.record(bench.a);
  OK(bench.l.event_wait(event, bench.b, nullptr));
  bench.run(bench.b, [&] { seen = order; });
  EXPECT(bench.l.event_query(event, nullptr) == PMLA_NOT_READY);
  first.open();
  EXPECT(finishWork(bench.device, bench.b) == PMLA_OK);
  EXPECT(seen == 1);

  // A wait for the first recording does not become one for the second.
  Gate blocked;
  bench.run(bench.b, [&] { blocked.wait(); });
  OK(bench.l.event_wait(event, bench.b, nullptr));
  bench.run(bench.a, [&] { second.wait(); });
  OK(bench.l.event_record(event, bench.a, nullptr));
  blocked.open();
  EXPECT(finishWork(bench.device, bench.b) == PMLA_OK);
  EXPECT(bench.l.event_query(event, nullptr) == PMLA_NOT_READY);
  second.open();
  EXPECT(finishWork(bench.device, bench.a) == PMLA_OK);
}

void failuresStick() {
  Bench bench("2");
  Gate gate;
  std::atomic<int> ran{0};
  std::atomic<int> notified{0};
  bench.run(bench.a, {100}, [&](int, int64_t unit) {
    gate.wait();
    if (unit == 7) throw polymla::makeFailure(PMLA_UNSUPPORTED, "Do otherwise", "unit 7 is bad");
  });
  bench.run(bench.a, [&] { ran++; });
  const pmla_event failed = bench.record(bench.a);
  OK(bench.l.event_notify(
      failed, [](void *count) { ++*static_cast<std::atomic<int> *>(count); }, &notified, nullptr));
  OK(bench.l.event_wait(failed, bench.b, nullptr));
  bench.run(bench.b, [&] { ran++; });
  EXPECT(bench.l.event_query(failed, nullptr) == PMLA_NOT_READY);
  EXPECT(notified == 0);
  gate.open();
  for (pmla_stream stream : {bench.a, bench.b, bench.a}) {
    pmla_error error = makeError();
    EXPECT(finishWork(bench.device, stream, &error) == PMLA_UNSUPPORTED);
    EXPECT(error.status == PMLA_UNSUPPORTED);
    EXPECT(strcmp(error.message, "task: unit 7 is bad") == 0);
    EXPECT(strcmp(error.fix, "Do otherwise") == 0);
  }
  char byte = 1;
  OK(bench.l.fill(bench.a, &byte, 2, 1, nullptr));
  OK(bench.l.upload(bench.a, &byte, "x", 1, nullptr));
  EXPECT(finishWork(bench.device, bench.a) == PMLA_UNSUPPORTED);
  EXPECT(byte == 1);
  EXPECT(ran == 0);
  EXPECT(notified == 1);
  OK(bench.l.event_notify(
      failed, [](void *count) { ++*static_cast<std::atomic<int> *>(count); }, &notified, nullptr));
  EXPECT(notified == 2);
}

void foreignExceptionsAreInternalErrors() {
  Bench bench("1");
  bench.run(bench.a, [] { throw 1; });
  EXPECT(finishWork(bench.device, bench.a) == PMLA_INTERNAL);
  bench.run(bench.b, [] { throw std::bad_alloc(); });
  EXPECT(finishWork(bench.device, bench.b) == PMLA_OUT_OF_MEMORY);
}

void bytesMove() {
  Bench bench("3");
  constexpr size_t BYTES = (5 << 20) + 3;
  std::vector<uint8_t> source(BYTES);
  for (size_t i = 0; i < BYTES; i++) source[i] = static_cast<uint8_t>(i * 7 >> 3);
  std::vector<uint8_t> device(2 * BYTES);
  std::vector<uint8_t> target(2 * BYTES);
  for (const bool busy : {false, true}) {
    Gate gate;
    if (busy) bench.run(bench.a, [&] { gate.wait(); });
    std::vector<uint8_t> given = source;
    OK(bench.l.fill(bench.a, device.data(), 0xee, 2 * BYTES, nullptr));
    OK(bench.l.upload(bench.a, device.data(), given.data(), BYTES, nullptr));
    given.assign(BYTES, 0); // the caller's again
    OK(bench.l.copy(bench.a, device.data() + BYTES, device.data(), BYTES - 1, nullptr));
    OK(bench.l.download(bench.a, target.data(), device.data(), 2 * BYTES, nullptr));
    gate.open();
    EXPECT(finishWork(bench.device, bench.a) == PMLA_OK);
    EXPECT(memcmp(target.data(), source.data(), BYTES) == 0);
    EXPECT(memcmp(target.data() + BYTES, source.data(), BYTES - 1) == 0);
    EXPECT(target.back() == 0xee);
  }
}

void graphsRepeatWhatWasCaptured() {
  Bench bench("2");
  char bytes[2] = {0, 0};
  std::atomic<int> runs{0};
  OK(bench.l.capture_begin(bench.a, nullptr));
  for (int i = 0; i < 3; i++) bench.run(bench.a, [&] { runs++; });
  OK(bench.l.fill(bench.a, bytes, 7, 1, nullptr));
  OK(bench.l.copy(bench.a, bytes + 1, bytes, 1, nullptr));
  pmla_event event = nullptr;
  OK(bench.l.event_new(bench.device, &event, nullptr));
  EXPECT(bench.l.event_record(event, bench.a, nullptr) == PMLA_CAPTURE_ILLEGAL);
  EXPECT(bench.l.event_wait(event, bench.a, nullptr) == PMLA_CAPTURE_ILLEGAL);
  EXPECT(bench.l.upload(bench.a, bytes, "a", 1, nullptr) == PMLA_CAPTURE_ILLEGAL);
  EXPECT(bench.l.download(bench.a, bytes, "a", 1, nullptr) == PMLA_CAPTURE_ILLEGAL);
  EXPECT(bench.l.capture_begin(bench.a, nullptr) == PMLA_CAPTURE_ILLEGAL);
  pmla_graph graph = nullptr;
  OK(bench.l.capture_end(bench.a, &graph, nullptr));
  EXPECT(bench.l.capture_end(bench.a, &graph, nullptr) == PMLA_CAPTURE_ILLEGAL);
  EXPECT(bench.l.event_query(event, nullptr) == PMLA_INVALID_ARGUMENT);
  bench.l.event_free(event);
  EXPECT(runs == 0 && bytes[1] == 0);
  for (pmla_stream stream : {bench.a, bench.b, bench.a}) {
    OK(bench.l.graph_launch(graph, stream, nullptr));
    EXPECT(finishWork(bench.device, stream) == PMLA_OK);
  }
  EXPECT(runs == 9 && bytes[1] == 7);
  bench.l.graph_free(graph);
}

void twoThreadsUseTwoStreams() {
  Bench bench("3");
  std::atomic<int64_t> sums[2]{};
  std::vector<std::thread> hosts;
  for (int host = 0; host < 2; host++) {
    hosts.emplace_back([&, host] {
      const pmla_stream mine = host == 0 ? bench.a : bench.b;
      pmla_event event = nullptr;
      OK(bench.l.event_new(bench.device, &event, nullptr));
      for (int i = 0; i < 300; i++) {
        bench.run(mine, {3, 2}, [&sums, host](int, int64_t unit) { sums[host] += unit; });
        OK(bench.l.event_record(event, mine, nullptr));
        if (i % 10 == 0) EXPECT(finishWork(bench.device, mine) == PMLA_OK);
      }
      EXPECT(finishWork(bench.device, mine) == PMLA_OK);
      double microseconds = -1;
      OK(bench.l.event_elapsed(event, event, &microseconds, nullptr));
      EXPECT(microseconds == 0);
      bench.l.event_free(event);
    });
  }
  for (std::thread &host : hosts) host.join();
  EXPECT(sums[0] == 1200 && sums[1] == 1200);
}

/** Long chains and long waits are not recursions. */
void queuesMayBeLong() {
  Bench bench("2");
  Gate gate;
  std::atomic<int> ran{0};
  bench.run(bench.a, [&] { gate.wait(); });
  for (int i = 0; i < 100000; i++) {
    if (i % 2 == 0)
      bench.record(bench.a);
    else
      bench.run(bench.a, {0}, [&](int, int64_t) { ran++; });
  }
  gate.open();
  EXPECT(finishWork(bench.device, bench.a) == PMLA_OK);
  EXPECT(ran == 0);
}

void peaksAreMeasured() {
  Bench bench("2");
  pmla_peaks peaks{};
  peaks.size = sizeof peaks;
  OK(bench.l.measure_peaks(bench.device, &peaks, nullptr));
  EXPECT(peaks.read_bytes_per_s > 1e8 && peaks.f32_flops_per_s > 1e8);
}

} // namespace

int main() {
  runsEveryUnitOncePhaseByPhase();
  streamsDoNotHoldUpEachOther();
  waitsHoldForTheRecordingOfThen();
  failuresStick();
  foreignExceptionsAreInternalErrors();
  bytesMove();
  graphsRepeatWhatWasCaptured();
  twoThreadsUseTwoStreams();
  queuesMayBeLong();
  peaksAreMeasured();
  return finish();
}
