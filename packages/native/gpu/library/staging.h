#pragma once
#include "../dialect/runtime.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace polymla {

/**
 * Pinned host memory through which bytes travel between a device and memory that is not pinned. Blocks are made as they
 * are needed and kept: pinning one takes about a millisecond. Any thread; the device's context is current.
 */
class Staging {
 public:
  Staging();
  /** Frees all blocks. All copies have ended, or the device is lost. */
  ~Staging();

  /** Enqueues a copy to the device. `source` is the caller's again on return. Throws Failure. */
  void upload(rt::Stream stream, void* target, const void* source, size_t bytes);
  /** Enqueues a copy to the host. Throws Failure. */
  void download(rt::Stream stream, void* target, const void* source, size_t bytes);

 private:
  struct Block;
  struct Arrival;
  std::unique_ptr<Block> take(size_t bytes);
  void give(std::unique_ptr<Block> block);

  std::mutex mutex_;
  size_t made_ = 0;  ///< blocks
  std::vector<std::unique_ptr<Block>> free_;
  std::vector<std::unique_ptr<Block>> uploading_;  ///< until Block::copied has happened
};

}  // namespace polymla
