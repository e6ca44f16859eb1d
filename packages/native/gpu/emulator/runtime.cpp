#include "runtime.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "insist.h"
#include "pool.h"

using polymla::emulator::Launch;

namespace {

using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

constexpr int waves[] = {32, 64, 128};
constexpr int devices = sizeof waves / sizeof *waves;
constexpr size_t mostShared = 232448;
constexpr size_t allocationGuard = 256;
constexpr unsigned char guardByte = 0xa5;
constexpr size_t mostPoisoned = size_t{64} << 20;

/** One recording of an event. */
struct Recording {
  bool happened = false;
  bool failed = false;
  Clock::time_point time;
};

/** All that devices have; lives as long as the process. */
struct Devices {
  std::mutex mutex;
  std::condition_variable changed; ///< a recording happened, a stream became idle
  emuError_t failure[devices] = {};
  std::string why;
  std::map<void *, size_t> allocations;
};

Devices &all() {
  static auto *const made = new Devices;
  return *made;
}

thread_local int current = 0;
thread_local emuError_t last = emuSuccess;

emuError_t result(emuError_t code) {
  if (code != emuSuccess) last = code;
  return code;
}

/** A call that takes memory of the host: as a runtime in C, it answers with a code where there is none, and throws nothing. */
template <class Call> emuError_t answered(Call &&call) {
  try {
    return call();
  } catch (const std::bad_alloc &) {
    return result(emuErrorMemoryAllocation);
  } catch (const std::system_error &) {
    return result(emuErrorMemoryAllocation); // no thread
  }
}

/** The failure of the current device, which sticks. */
emuError_t checked() {
  const std::lock_guard hold(all().mutex);
  return result(all().failure[current]);
}

void fail(int device, emuError_t code, const std::string &why) {
  const std::lock_guard hold(all().mutex);
  if (all().failure[device] != emuSuccess) return;
  all().why = why;
  all().failure[device] = code;
}

/** Bytes of the system's memory, in all and free. */
std::pair<size_t, size_t> systemMemory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  size_t total = 0;
  size_t available = 0;
  for (size_t kilobytes; file >> key >> kilobytes; file.ignore(64, '\n')) {
    if (key == "MemTotal:") total = kilobytes << 10;
    if (key == "MemAvailable:") available = kilobytes << 10;
  }
  return {total, available};
}

} // namespace

struct emuGraph {
  std::vector<Work> work;
};

struct emuEvent {
  int device;
  std::shared_ptr<Recording> recording;
};

struct emuStream {
  int device;
  std::deque<Work> queue;
  std::condition_variable arrived;
  bool busy = false;
  bool ending = false;
  std::unique_ptr<emuGraph> capture;
  std::thread thread;

  void serve() {
    std::unique_lock hold(all().mutex);
    for (;;) {
      arrived.wait(hold, [&] { return ending || !queue.empty(); });
      if (queue.empty()) return;
      Work work = std::move(queue.front());
      queue.pop_front();
      busy = true;
      hold.unlock();
      work();
      work = nullptr;
      hold.lock();
      busy = false;
      all().changed.notify_all();
    }
  }
};

namespace {

emuError_t enqueue(emuStream_t stream, Work work) {
  const std::lock_guard hold(all().mutex);
  if (all().failure[stream->device] != emuSuccess) return result(all().failure[stream->device]);
  if (stream->capture) {
    stream->capture->work.push_back(std::move(work));
  } else {
    stream->queue.push_back(std::move(work));
    stream->arrived.notify_one();
  }
  return emuSuccess;
}

bool failed(int device) {
  const std::lock_guard hold(all().mutex);
  return all().failure[device] != emuSuccess;
}

void runLaunch(int device, const Launch &launch, const std::function<void()> &kernel) {
  if (failed(device)) return;
  std::mutex mutex;
  std::string wrong;
  std::function<void(unsigned)> run;
  polymla::emulator::insist([&] {
    run = [&](unsigned block) {
      std::string found = polymla::emulator::runBlock(launch, block, waves[device], kernel);
      if (found.empty()) return;
      const std::lock_guard hold(mutex);
      if (wrong.empty()) wrong = std::string(launch.name) + ", block " + std::to_string(block) + ": " + found;
    };
  });
  polymla::emulator::forEachBlock(launch.blocks, run);
  if (!wrong.empty()) fail(device, emuErrorLaunchFailure, wrong);
}

} // namespace

namespace polymla::emulator {

void heal(int device) {
  const std::lock_guard hold(all().mutex);
  all().failure[device] = emuSuccess;
}

emuError_t launch(emuStream_t stream, const Launch &launch, std::function<void()> kernel) {
  if (launch.shared > mostShared || launch.threads > 1024) return result(emuErrorInvalidValue);
  return answered([&] {
    return enqueue(stream, [device = stream->device, launch, kernel = std::move(kernel)] { runLaunch(device, launch, kernel); });
  });
}

} // namespace polymla::emulator

emuError_t emuGetDeviceCount(int *count) { return *count = devices, emuSuccess; }
emuError_t emuDriverGetVersion(int *version) { return *version = 1, emuSuccess; }
emuError_t emuGetDevice(int *ordinal) { return *ordinal = current, emuSuccess; }
emuError_t emuSetDevice(int ordinal) {
  if (ordinal < 0 || ordinal >= devices) return result(emuErrorInvalidDevice);
  current = ordinal;
  return emuSuccess;
}
emuError_t emuGetDeviceProperties(emuDeviceProp *properties, int ordinal) {
  if (ordinal < 0 || ordinal >= devices) return result(emuErrorInvalidDevice);
  static const size_t total = systemMemory().first;
  *properties = {};
  snprintf(properties->name, sizeof properties->name, "Emulated GPU, waves of %d threads", waves[ordinal]);
  properties->totalGlobalMem = total;
  properties->sharedMemPerBlock = mostShared;
  properties->warpSize = waves[ordinal];
  properties->multiProcessorCount = 6;
  return emuSuccess;
}
emuError_t emuDeviceSynchronize() { return checked(); }
emuError_t emuGetLastError() { return std::exchange(last, emuSuccess); }
const char *emuGetErrorName(emuError_t code) {
  switch (code) {
  case emuErrorMemoryAllocation: return "emuErrorMemoryAllocation";
  case emuErrorIllegalAddress: return "emuErrorIllegalAddress";
  case emuErrorLaunchFailure: return "emuErrorLaunchFailure";
  case emuErrorInvalidDevice: return "emuErrorInvalidDevice";
  default: return "emuErrorInvalidValue";
  }
}
const char *emuGetErrorString(emuError_t code) {
  if (code == emuErrorMemoryAllocation) return "out of memory";
  if (code != emuErrorLaunchFailure && code != emuErrorIllegalAddress) return "invalid argument";
  const std::lock_guard hold(all().mutex);
  return all().why.c_str(); // written once
}

emuError_t emuMemGetInfo(size_t *available, size_t *total) {
  std::tie(*total, *available) = systemMemory();
  return checked();
}

emuError_t emuMalloc(void **memory, size_t bytes) {
  if (const emuError_t code = checked(); code != emuSuccess) return code;
  const size_t size = (bytes + 255) / 256 * 256 + 2 * allocationGuard;
  if (bytes > SIZE_MAX / 2 || size > systemMemory().second) return result(emuErrorMemoryAllocation);
  auto *const block = static_cast<unsigned char *>(std::aligned_alloc(256, size));
  if (block == nullptr) return result(emuErrorMemoryAllocation);
  *memory = block + allocationGuard;
  std::memset(block, guardByte, allocationGuard);
  std::memset(*memory, 0xff, std::min(bytes, mostPoisoned));
  std::memset(static_cast<unsigned char *>(*memory) + bytes, guardByte, size - allocationGuard - bytes);
  const std::lock_guard hold(all().mutex);
  const emuError_t code = answered([&] { return all().allocations[*memory] = bytes, emuSuccess; });
  if (code != emuSuccess) std::free(block);
  return code;
}

emuError_t emuFree(void *memory) {
  size_t bytes;
  {
    const std::lock_guard hold(all().mutex);
    const auto found = all().allocations.find(memory);
    if (found == all().allocations.end()) return result(emuErrorInvalidValue);
    bytes = found->second;
    all().allocations.erase(found);
  }
  auto *const begin = static_cast<unsigned char *>(memory);
  bool intact = true;
  for (size_t i = 1; i <= allocationGuard; i++) intact = intact && begin[-static_cast<ptrdiff_t>(i)] == guardByte;
  for (size_t i = bytes; i < (bytes + 255) / 256 * 256 + allocationGuard; i++) intact = intact && begin[i] == guardByte;
  std::free(begin - allocationGuard);
  if (!intact) fail(current, emuErrorIllegalAddress, "a write past an allocation of " + std::to_string(bytes) + " bytes");
  return checked();
}

emuError_t emuMallocHost(void **memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory == nullptr ? result(emuErrorMemoryAllocation) : emuSuccess;
}
emuError_t emuFreeHost(void *memory) { return std::free(memory), emuSuccess; }

emuError_t emuStreamCreateWithFlags(emuStream_t *stream, unsigned) {
  if (const emuError_t code = checked(); code != emuSuccess) return code;
  return answered([&] {
    auto made = std::make_unique<emuStream>();
    made->device = current;
    made->thread = std::thread(&emuStream::serve, made.get());
    *stream = made.release();
    return emuSuccess;
  });
}

emuError_t emuStreamDestroy(emuStream_t stream) {
  {
    const std::lock_guard hold(all().mutex);
    stream->ending = true;
    stream->arrived.notify_one();
  }
  stream->thread.join();
  delete stream;
  return checked();
}

emuError_t emuStreamSynchronize(emuStream_t stream) {
  std::unique_lock hold(all().mutex);
  all().changed.wait(hold, [&] { return stream->queue.empty() && !stream->busy; });
  return result(all().failure[stream->device]);
}

emuError_t emuStreamWaitEvent(emuStream_t stream, emuEvent_t event, unsigned) {
  return answered([&] {
    return enqueue(stream, [recording = event->recording] {
      std::unique_lock hold(all().mutex);
      all().changed.wait(hold, [&] { return recording == nullptr || recording->happened; });
    });
  });
}

emuError_t emuMemcpyAsync(void *to, const void *from, size_t bytes, emuMemcpyKind, emuStream_t stream) {
  return answered([&] {
    return enqueue(stream, [=, device = stream->device] {
      if (!failed(device)) std::memcpy(to, from, bytes);
    });
  });
}
emuError_t emuMemsetAsync(void *to, int value, size_t bytes, emuStream_t stream) {
  return answered([&] {
    return enqueue(stream, [=, device = stream->device] {
      if (!failed(device)) std::memset(to, value, bytes);
    });
  });
}
emuError_t emuLaunchHostFunc(emuStream_t stream, void (*call)(void *), void *data) {
  return answered([&] { return enqueue(stream, [=] { call(data); }); });
}

emuError_t emuEventCreate(emuEvent_t *event) {
  return answered([&] { return *event = new emuEvent{current, nullptr}, checked(); });
}
emuError_t emuEventCreateWithFlags(emuEvent_t *event, unsigned) { return emuEventCreate(event); }
emuError_t emuEventDestroy(emuEvent_t event) { return delete event, emuSuccess; }
emuError_t emuEventRecord(emuEvent_t event, emuStream_t stream) {
  return answered([&] {
    auto made = std::make_shared<Recording>();
    const emuError_t code = enqueue(stream, [recording = made, device = stream->device] {
      const std::lock_guard hold(all().mutex);
      recording->time = Clock::now();
      recording->failed = all().failure[device] != emuSuccess;
      recording->happened = true;
    });
    if (code == emuSuccess) event->recording = std::move(made);
    return code;
  });
}
emuError_t emuEventQuery(emuEvent_t event) {
  const std::lock_guard hold(all().mutex);
  if (all().failure[event->device] != emuSuccess) return result(all().failure[event->device]);
  return event->recording == nullptr || event->recording->happened ? emuSuccess : emuErrorNotReady;
}
emuError_t emuEventElapsedTime(float *milliseconds, emuEvent_t earlier, emuEvent_t later) {
  const std::lock_guard hold(all().mutex);
  *milliseconds = std::chrono::duration<float, std::milli>(later->recording->time - earlier->recording->time).count();
  return emuSuccess;
}

emuError_t emuStreamBeginCapture(emuStream_t stream, emuStreamCaptureMode) {
  return answered([&] {
    auto made = std::make_unique<emuGraph>();
    const std::lock_guard hold(all().mutex);
    stream->capture = std::move(made);
    return emuSuccess;
  });
}
emuError_t emuStreamEndCapture(emuStream_t stream, emuGraph_t *graph) {
  const std::lock_guard hold(all().mutex);
  *graph = stream->capture.release();
  return emuSuccess;
}
emuError_t emuGraphInstantiateWithFlags(emuGraphExec_t *made, emuGraph_t graph, unsigned long long) {
  return answered([&] { return *made = new emuGraph(*graph), emuSuccess; });
}
emuError_t emuGraphDestroy(emuGraph_t graph) { return delete graph, emuSuccess; }
emuError_t emuGraphExecDestroy(emuGraphExec_t graph) { return delete graph, emuSuccess; }
emuError_t emuGraphLaunch(emuGraphExec_t graph, emuStream_t stream) {
  return answered([&] {
    for (const Work &work : graph->work) {
      if (const emuError_t code = enqueue(stream, work); code != emuSuccess) return code;
    }
    return emuSuccess;
  });
}
