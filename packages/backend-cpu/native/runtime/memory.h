#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace polymla::cpu {

/** A device's memory: blocks of this process, aligned to 256 bytes, huge pages for the large ones. */
class Memory {
public:
  Memory() = default;
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  /**
   * Throws Failure PMLA_OUT_OF_MEMORY, also where the system would only find out that there is not enough
   * when the block is written.
   */
  void *allocate(uint64_t bytes);
  /** What is not a block is ignored. */
  void release(void *memory);

private:
  std::mutex mutex_;
  std::map<void *, uint64_t> blocks_;
  uint64_t bytes_ = 0;
};

} // namespace polymla::cpu
