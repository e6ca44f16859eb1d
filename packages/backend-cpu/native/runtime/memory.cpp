#include "memory.h"

#include <sys/mman.h>

#include <cinttypes>
#include <cstdlib>

#include "kit/failure.h"
#include "system.h"

namespace polymla::cpu {

namespace {

constexpr uint64_t ALIGNMENT = 256;
/** Blocks of this size and more are mapped by themselves: page by page zero, in huge pages, and given back at
 * once. */
constexpr uint64_t MAPPED = uint64_t{1} << 21;
constexpr uint64_t LARGEST = uint64_t{1} << 62;

uint64_t roundUp(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

uint64_t reserved(uint64_t bytes) { return roundUp(bytes, bytes >= MAPPED ? MAPPED : ALIGNMENT); }

void *map(uint64_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, bytes, MADV_HUGEPAGE); // without it, the block is only slower
  return memory;
}

void giveBack(void *memory, uint64_t bytes) {
  if (bytes >= MAPPED)
    munmap(memory, bytes);
  else
    free(memory);
}

} // namespace

Memory::~Memory() {
  for (const auto &[memory, bytes] : blocks_) giveBack(memory, bytes);
}

void *Memory::allocate(uint64_t bytes) {
  const uint64_t size = bytes <= LARGEST ? reserved(bytes) : LARGEST;
  std::lock_guard hold(mutex_);
  void *memory = nullptr;
  if (size < MAPPED) {
    memory = aligned_alloc(ALIGNMENT, size);
  } else if (const MemoryInfo system = memoryInfo();
             size <= system.available && bytes_ + size <= system.total) {
    memory = map(size);
  }
  if (memory == nullptr) {
    throw makeFailure(PMLA_OUT_OF_MEMORY, "Free tensors, or use smaller caches and batches",
                      "expected %" PRIu64 " bytes of memory, found %" PRIu64 " available and %" PRIu64
                      " in use",
                      bytes, memoryInfo().available, bytes_);
  }
  try {
    blocks_.emplace(memory, size);
  } catch (...) {
    giveBack(memory, size);
    throw;
  }
  bytes_ += size;
  return memory;
}

void Memory::release(void *memory) {
  std::lock_guard hold(mutex_);
  const auto block = blocks_.find(memory);
  if (block == blocks_.end()) return;
  giveBack(memory, block->second);
  bytes_ -= block->second;
  blocks_.erase(block);
}

} // namespace polymla::cpu
