#pragma once
#include <cstddef>
#include <vector>

#include "gpu/library/device.h"
#include "gpu/library/failure-of.h"

namespace polymla {

/**
 * Values in device memory, each written once and kept as long as this is: launches, and graphs made of them, may read one at
 * any time. With a CurrentDevice.
 */
class DeviceRecords {
 public:
  static constexpr size_t recordBytes = 256;

  /** Throws Failure. */
  explicit DeviceRecords(Device& device) : device_(device) { addBlock(); }
  DeviceRecords(const DeviceRecords&) = delete;
  ~DeviceRecords() {
    for (std::byte* block : blocks_) device_.release(block);
  }

  /** Copies a value to the device and waits until it is there, apart from the streams of launches, which may be captured. Throws Failure. */
  template <class Value>
  const Value* add(const Value& value) {
    static_assert(sizeof(Value) <= recordBytes && recordBytes % alignof(Value) == 0);
    if (used_ == blockRecords) addBlock();
    std::byte* const at = blocks_.back() + used_ * recordBytes;
    const cudaStream_t stream = device_.memoryStream();
    POLYMLA_REQUIRE(cudaMemcpyAsync(at, &value, sizeof value, cudaMemcpyHostToDevice, stream));
    POLYMLA_REQUIRE(cudaStreamSynchronize(stream));
    used_++;
    return reinterpret_cast<const Value*>(at);
  }

 private:
  static constexpr size_t blockRecords = 128;

  void addBlock() {
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back(static_cast<std::byte*>(device_.allocate(blockRecords * recordBytes)));
    used_ = 0;
  }

  Device& device_;
  std::vector<std::byte*> blocks_;
  size_t used_ = 0;  ///< of the last block
};

}  // namespace polymla
