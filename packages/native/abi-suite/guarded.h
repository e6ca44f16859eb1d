#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "faults.h"

namespace polymla::suite {

/** Host memory whose last byte is followed by one that must not be touched: who does ends the process by SIGSEGV. */
class Guarded {
public:
  explicit Guarded(size_t bytes);
  ~Guarded();
  Guarded(const Guarded &) = delete;
  void *data() const { return data_; }
  template <class T> T *as() const { return static_cast<T *>(data_); }
  size_t size() const { return bytes_; }
  /** From now on nothing of it may be touched. */
  void seal();

private:
  size_t bytes_, mapped_;
  unsigned char *map_;
  void *data_;
  std::unique_ptr<Fence> fence_, sealed_;
};

/** Whether this process may read and write an address, which tells memory of a CPU from memory of a device. */
bool isHostMemory(const void *address);

} // namespace polymla::suite
