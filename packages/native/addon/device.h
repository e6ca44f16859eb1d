#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "handle.h"
#include "waiter.h"

namespace polymla {

class Stream;
using Options = std::vector<std::pair<std::string, std::string>>;

/**
 * An open device. Its handles are made and disposed on one thread; freeing waits for the work that uses them, on the
 * waiter's.
 */
class Device : public std::enable_shared_from_this<Device> {
 public:
  /** Opens a device. May take long; any thread. Throws Failure. */
  static std::shared_ptr<Device> open(Library &library, int32_t index, std::string id, const Options &options);
  ~Device();

  const pmla_library &table() const { return library_.table(); }
  pmla_device handle() const { return handle_; }
  const std::string &id() const { return id_; }
  /** pmla_device_flags */
  uint32_t flags() const { return flags_; }
  Waiter &waiter() { return *waiter_; }

  /** Throws what a call failed with; a lost device stays lost. */
  void check(pmla_status status, const ErrorRecord &error, const char *call);
  void fail(Failure failure);
  /** Throws when the device is lost or disposed. */
  void assertUsable();

  /** Reserves memory. Out of memory, what retired work has meanwhile let go of is freed first. Throws Failure. */
  void *alloc(uint64_t bytes);
  /** Records an event on a stream. Throws Failure. */
  std::shared_ptr<Mark> record(Stream &stream);
  /** Whether the work before a mark has ended. */
  bool poll(Mark &mark);
  /** Frees something when all work enqueued so far, on any stream, has ended: at once where none is under way. */
  void retire(std::function<void()> free, uint64_t bytes = 0);
  /** Marks behind the work that is under way. */
  Marks busyMarks();

  void add(Handle *handle) { handles_.insert(handle); }
  void remove(Handle *handle) { handles_.erase(handle); }
  void addStream(std::shared_ptr<Stream> stream) { streams_.push_back(std::move(stream)); }

  /** Retires every handle, waits for all work, closes the device and calls back on the waiter's thread. Returns at once. */
  void dispose(std::function<void()> closed = [] {});
  bool disposed() const { return disposed_; }

 private:
  Device(Library &library, pmla_device handle, std::string id, uint32_t flags);
  void close(std::function<void()> closed);

  Library &library_;
  const pmla_device handle_;
  const std::string id_;
  const uint32_t flags_;
  const std::shared_ptr<EventPool> events_;
  const std::shared_ptr<Waiter> waiter_;
  const std::shared_ptr<std::atomic<uint64_t>> retiredBytes_ = std::make_shared<std::atomic<uint64_t>>(0);
  bool disposed_ = false;
  std::unordered_set<Handle *> handles_;
  std::vector<std::shared_ptr<Stream>> streams_;
  /** What could not be retired because no event was to be had. */
  std::vector<std::function<void()>> unmarked_;
};

}  // namespace polymla
