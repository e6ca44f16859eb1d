#include "device.h"

#include <unistd.h>

#include "cuda-failure.h"
#include "driver.h"

namespace polymla {

CurrentDevice::CurrentDevice(const Device& device) { requireDriver(driver().pushContext(device.context_), "cuCtxPushCurrent"); }

CurrentDevice::~CurrentDevice() {
  CUcontext popped;
  driver().popContext(&popped);
}

Device::Device(int ordinal) : ordinal(ordinal), pid_(static_cast<uint32_t>(getpid())) {
  // Never given back: kernels are loaded, and their attributes set, once per process.
  requireDriver(driver().retainContext(&context_, ordinal), "cuDevicePrimaryCtxRetain");
  const CurrentDevice current(*this);
  POLYMLA_REQUIRE(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, ordinal));
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = ordinal;
  POLYMLA_REQUIRE(cudaMemPoolCreate(&pool_, &properties));
  // What was released is kept for the next allocation.
  cuuint64_t threshold = UINT64_MAX;
  POLYMLA_REQUIRE(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &threshold));
  POLYMLA_REQUIRE(cudaStreamCreateWithFlags(&memoryStream_, cudaStreamNonBlocking));
  staging_.emplace();
}

Device::~Device() {
  const Failure failure = attempt([&] {
    const CurrentDevice current(*this);
    cudaDeviceSynchronize();
    staging_.reset();
    cudaStreamDestroy(memoryStream_);
    cudaMemPoolDestroy(pool_);
    cudaGetLastError();
  });
  static_cast<void>(failure);  // the device is gone, and its memory with it
}

void* Device::allocate(uint64_t bytes) {
  void* memory;
  cudaError_t code = cudaMallocFromPoolAsync(&memory, bytes, pool_, memoryStream_);
  if (code == cudaErrorMemoryAllocation) {
    // What the pool keeps may be in pieces that are too small.
    cudaGetLastError();
    POLYMLA_REQUIRE(cudaMemPoolTrimTo(pool_, 0));
    code = cudaMallocFromPoolAsync(&memory, bytes, pool_, memoryStream_);
  }
  if (code == cudaErrorMemoryAllocation) {
    Failure failure = cudaFailure(code, "cudaMallocFromPoolAsync");
    const Memory left = this->memory();
    throw makeFailure(PMLA_OUT_OF_MEMORY, failure.fix, "%llu bytes were asked for, and %llu of %llu are free",
                      static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(left.available),
                      static_cast<unsigned long long>(left.total));
  }
  requireCuda(code, "cudaMallocFromPoolAsync");
  // So that other streams may use it at once.
  POLYMLA_REQUIRE(cudaStreamSynchronize(memoryStream_));
  return memory;
}

void Device::release(void* memory) { cudaFreeAsync(memory, memoryStream_); }

Device::Memory Device::memory() const {
  size_t available;
  size_t total;
  POLYMLA_REQUIRE(cudaMemGetInfo(&available, &total));
  cuuint64_t reserved;
  cuuint64_t used;
  POLYMLA_REQUIRE(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved));
  POLYMLA_REQUIRE(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &used));
  return {total, available + reserved - used};
}

bool Device::lost() const {
  return failed_.load(std::memory_order_acquire) || pid_ != static_cast<uint32_t>(getpid());
}

void Device::requireUsable() const {
  if (failed_.load(std::memory_order_acquire)) throw failure_;
  if (pid_ == static_cast<uint32_t>(getpid())) return;
  throw makeFailure(PMLA_DEVICE_LOST, "Open the device in the process that uses it",
                    "the device was opened before this process was forked");
}

Failure Device::fail(const Failure& failure) {
  const std::lock_guard lock(mutex_);
  if (!failed_.load(std::memory_order_relaxed)) {
    failure_ = makeFailure(PMLA_DEVICE_LOST, failure.fix, "%s; enqueued last: %s", failure.message,
                           last_.load(std::memory_order_relaxed));
    failure_.nativeCode = failure.nativeCode;
    failed_.store(true, std::memory_order_release);
  }
  return failure_;
}

const char* Device::keep(const std::string& text) {
  const std::lock_guard lock(mutex_);
  return texts_.insert(text).first->c_str();
}

}  // namespace polymla
