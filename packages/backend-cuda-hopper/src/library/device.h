#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "kit/failure.h"
#include "staging.h"

namespace polymla {

/** What an open pmla_device is. Any thread. */
class Device {
 public:
  /** Throws Failure. */
  explicit Device(int ordinal);
  /** Waits for all work. */
  ~Device();
  Device(const Device&) = delete;

  struct Memory {
    uint64_t total;
    uint64_t available;
  };

  const int ordinal;
  int multiprocessors = 0;

  // With a CurrentDevice:
  void* allocate(uint64_t bytes);
  void release(void* memory);
  Memory memory() const;
  Staging& staging() { return *staging_; }
  /** Where memory is allocated and set up; nothing that takes long is enqueued here. */
  cudaStream_t memoryStream() const { return memoryStream_; }

  /** Whether nothing may be called any more: the device failed, or this process is a fork of the one that opened it. */
  bool lost() const;
  /** Throws the Failure of a lost device. */
  void requireUsable() const;
  /** Of a failure on the device: every later call fails so, too. Names what was enqueued last. */
  Failure fail(const Failure& failure);

  /** A copy of a text that lives as long as the device. */
  const char* keep(const std::string& text);
  /** Remembers what was enqueued last, which is what a later fault is most likely of. `what` lives as long as the device. */
  void enqueued(const char* what) { last_.store(what, std::memory_order_relaxed); }

 private:
  friend class CurrentDevice;
  const uint32_t pid_;
  CUcontext context_ = nullptr;
  cudaMemPool_t pool_ = nullptr;
  cudaStream_t memoryStream_ = nullptr;
  std::optional<Staging> staging_;
  std::atomic<const char*> last_{"nothing"};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  Failure failure_;  ///< once failed_
  std::set<std::string> texts_;
};

/**
 * Makes a device the thread's current one, and at the end what was there before, be it no device: cudaSetDevice would
 * make a context on the former device where there is none yet. Throws Failure.
 */
class CurrentDevice {
 public:
  explicit CurrentDevice(const Device& device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
};

}  // namespace polymla
