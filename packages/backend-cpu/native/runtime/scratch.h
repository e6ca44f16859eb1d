#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include "job.h"

namespace polymla::cpu {

/** Scratch for every thread of a device. Plans share one as long as it is large enough for them. */
class ScratchSet {
public:
  /** @param bytes per thread, > 0. Throws std::bad_alloc. */
  ScratchSet(int threads, size_t bytes)
      : bytes_(bytes), stride_((bytes + PAGE - 1) / PAGE * PAGE),
        memory_(
            stride_ >= bytes && stride_ <= SIZE_MAX / static_cast<size_t>(threads)
                ? static_cast<std::byte *>(std::aligned_alloc(PAGE, stride_ * static_cast<size_t>(threads)))
                : nullptr) {
    if (memory_ == nullptr) throw std::bad_alloc();
  }
  ~ScratchSet() { std::free(memory_); }
  ScratchSet(const ScratchSet &) = delete;
  ScratchSet &operator=(const ScratchSet &) = delete;

  size_t bytes() const { return bytes_; }
  Scratch of(int thread) const { return {memory_ + stride_ * static_cast<size_t>(thread), bytes_}; }

private:
  /** No two threads share a page. */
  static constexpr size_t PAGE = 4096;
  size_t bytes_;
  size_t stride_;
  std::byte *memory_;
};

} // namespace polymla::cpu
