#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "../dialect/runtime.h"
#include "kit/failure.h"
#include "staging.h"

namespace polymla {

/** What kernels are chosen by. */
struct DeviceTraits {
  int units = 0;      ///< multiprocessors
  int sharedMost = 0; ///< bytes of shared memory that a block may have
  int wave = 0;       ///< threads that the hardware executes together
};

/** What an open pmla_device is. Any thread. */
class Device {
public:
  /** Throws Failure. */
  Device(int ordinal, const DeviceTraits &traits);
  /** Waits for all work. */
  ~Device();
  Device(const Device &) = delete;

  struct Memory {
    uint64_t total;
    uint64_t available;
  };

  const int ordinal;
  const DeviceTraits traits;

  // With a CurrentDevice:
  void *allocate(uint64_t bytes);
  void release(void *memory);
  Memory memory() const;
  Staging &staging() { return *staging_; }
  /** Where memory is allocated and set up; nothing that takes long is enqueued here. */
  rt::Stream memoryStream() const { return memoryStream_; }

  /** Whether nothing may be called any more: the device failed, or this process is a fork of the one that opened it. */
  bool lost() const;
  /** Throws the Failure of a lost device. */
  void requireUsable() const;
  /** Of a failure on the device: every later call fails so, too. Names what was enqueued last. */
  Failure fail(const Failure &failure);

  /** A copy of a text that lives as long as the device. */
  const char *keep(const std::string &text);
  /** Remembers what was enqueued last, which is what a later fault is most likely of. `what` lives as long as the device. */
  void enqueued(const char *what) { last_.store(what, std::memory_order_relaxed); }

private:
  friend class CurrentDevice;
  rt::Error take(void **memory, uint64_t bytes);

  /** Of the process that opened it: fork() makes others, in which a device cannot be used. */
  const uint32_t generation_;
  /** CUDA: the device's context. */
  void *context_ = nullptr;
#if defined(PMLA_RT_HAS_POOLS)
  PMLA_RT(MemPool_t) pool_ = nullptr;
#endif
  rt::Stream memoryStream_ = nullptr;
  std::optional<Staging> staging_;
  std::atomic<const char *> last_{"nothing"};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  Failure failure_; ///< once failed_
  std::set<std::string> texts_;
};

/** Makes a device the thread's current one, and at the end what was there before. Throws Failure. */
class CurrentDevice {
public:
  explicit CurrentDevice(const Device &device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice &) = delete;

private:
#if defined(PMLA_DIALECT_CUDA)
  bool pushed_ = false;
#else
  int before_ = 0;
#endif
};

/** The context of a device, which stays for the life of the process; NULL where the runtime needs none. Throws Failure. */
void *contextOf(int ordinal);

} // namespace polymla
