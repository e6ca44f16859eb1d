#include "device.h"

#include <pthread.h>

#include "failure-of.h"

namespace polymla {

namespace {

// Counted rather than asked for: getpid() is a system call, and every call of the ABI would make one.
std::atomic<uint32_t> forks{0};

uint32_t watchForks() {
  static const int code = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  if (code != 0) throw makeFailure(PMLA_OUT_OF_MEMORY, "", "pthread_atfork: error %d", code);
  return forks.load(std::memory_order_relaxed);
}

} // namespace

Device::Device(int ordinal, const DeviceTraits &traits)
    : ordinal(ordinal), traits(traits), generation_(watchForks()), context_(contextOf(ordinal)) {
  const CurrentDevice current(*this);
  // It takes nothing yet, and what follows is given back where this fails: no destructor runs.
  staging_.emplace();
#if defined(PMLA_RT_HAS_POOLS)
  PMLA_RT(MemPoolProps) properties{};
  properties.allocType = PMLA_RT(MemAllocationTypePinned);
  properties.location.type = PMLA_RT(MemLocationTypeDevice);
  properties.location.id = ordinal;
  POLYMLA_REQUIRE(PMLA_RT(MemPoolCreate)(&pool_, &properties));
  // What was released is kept for the next allocation.
  uint64_t threshold = UINT64_MAX;
  rt::Error code = PMLA_RT(MemPoolSetAttribute)(pool_, PMLA_RT(MemPoolAttrReleaseThreshold), &threshold);
  if (code == PMLA_RT(Success)) code = PMLA_RT(StreamCreateWithFlags)(&memoryStream_, PMLA_RT(StreamNonBlocking));
  if (code != PMLA_RT(Success)) static_cast<void>(PMLA_RT(MemPoolDestroy)(pool_));
  requireRuntime(code, "PMLA_RT(StreamCreateWithFlags)");
#else
  POLYMLA_REQUIRE(PMLA_RT(StreamCreateWithFlags)(&memoryStream_, PMLA_RT(StreamNonBlocking)));
#endif
}

Device::~Device() {
  const Failure failure = attempt([&] {
    const CurrentDevice current(*this);
    static_cast<void>(PMLA_RT(DeviceSynchronize)());
    staging_.reset();
    static_cast<void>(PMLA_RT(StreamDestroy)(memoryStream_));
#if defined(PMLA_RT_HAS_POOLS)
    static_cast<void>(PMLA_RT(MemPoolDestroy)(pool_));
#endif
    static_cast<void>(PMLA_RT(GetLastError)());
  });
  static_cast<void>(failure); // the device is gone, and its memory with it
}

rt::Error Device::take(void **memory, uint64_t bytes) {
#if defined(PMLA_RT_HAS_POOLS)
  return PMLA_RT(MallocFromPoolAsync)(memory, bytes, pool_, memoryStream_);
#else
  return PMLA_RT(Malloc)(memory, bytes);
#endif
}

void *Device::allocate(uint64_t bytes) {
  void *memory;
  rt::Error code = take(&memory, bytes);
#if defined(PMLA_RT_HAS_POOLS)
  if (code == PMLA_RT(ErrorMemoryAllocation)) {
    // What the pool keeps may be in pieces that are too small.
    static_cast<void>(PMLA_RT(GetLastError)());
    POLYMLA_REQUIRE(PMLA_RT(MemPoolTrimTo)(pool_, 0));
    code = take(&memory, bytes);
  }
#endif
  if (code == PMLA_RT(ErrorMemoryAllocation)) {
    const Failure failure = failureOf(code, "PMLA_RT(Malloc)");
    const Memory left = this->memory();
    throw makeFailure(PMLA_OUT_OF_MEMORY, failure.fix, "%llu bytes were asked for, and %llu of %llu are free",
                      static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(left.available),
                      static_cast<unsigned long long>(left.total));
  }
  requireRuntime(code, "PMLA_RT(Malloc)");
#if defined(PMLA_RT_HAS_POOLS)
  // So that other streams may use it at once.
  POLYMLA_REQUIRE(PMLA_RT(StreamSynchronize)(memoryStream_));
#endif
  return memory;
}

void Device::release(void *memory) {
#if defined(PMLA_RT_HAS_POOLS)
  static_cast<void>(PMLA_RT(FreeAsync)(memory, memoryStream_));
#else
  POLYMLA_REQUIRE(PMLA_RT(Free)(memory));
#endif
}

Device::Memory Device::memory() const {
  size_t available;
  size_t total;
  POLYMLA_REQUIRE(PMLA_RT(MemGetInfo)(&available, &total));
  uint64_t reserved = 0;
  uint64_t used = 0;
#if defined(PMLA_RT_HAS_POOLS)
  POLYMLA_REQUIRE(PMLA_RT(MemPoolGetAttribute)(pool_, PMLA_RT(MemPoolAttrReservedMemCurrent), &reserved));
  POLYMLA_REQUIRE(PMLA_RT(MemPoolGetAttribute)(pool_, PMLA_RT(MemPoolAttrUsedMemCurrent), &used));
#endif
  return {total, available + reserved - used};
}

bool Device::lost() const { return failed_.load(std::memory_order_acquire) || generation_ != forks.load(std::memory_order_relaxed); }

void Device::requireUsable() const {
  if (failed_.load(std::memory_order_acquire)) throw failure_;
  if (generation_ == forks.load(std::memory_order_relaxed)) return;
  throw makeFailure(PMLA_DEVICE_LOST, "Open the device in the process that uses it",
                    "the device was opened before this process was forked");
}

Failure Device::fail(const Failure &failure) {
  const std::lock_guard lock(mutex_);
  if (!failed_.load(std::memory_order_relaxed)) {
    failure_ = makeFailure(PMLA_DEVICE_LOST, failure.fix, "%s; enqueued last: %s", failure.message,
                           last_.load(std::memory_order_relaxed));
    failure_.nativeCode = failure.nativeCode;
    failed_.store(true, std::memory_order_release);
  }
  return failure_;
}

const char *Device::keep(const std::string &text) {
  const std::lock_guard lock(mutex_);
  return texts_.insert(text).first->c_str();
}

} // namespace polymla
