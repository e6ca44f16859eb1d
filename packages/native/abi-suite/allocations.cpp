#include "allocations.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);
}

namespace polymla::suite::allocations {

namespace {

struct Range {
  uintptr_t begin = 0, end = 0;
};
Range ranges[8];
std::atomic<int> rangeCount{0};
std::atomic<int64_t> countdown{0}, liveBlocks{0};
std::atomic<bool> failed{false};

bool isWatched(const void *caller) {
  const auto address = reinterpret_cast<uintptr_t>(caller);
  for (int i = rangeCount.load(std::memory_order_acquire) - 1; i >= 0; i--) {
    if (address >= ranges[i].begin && address < ranges[i].end) return true;
  }
  return false;
}

/** Whether this allocation, by watched code, is the one that is to fail. */
bool failsNow() {
  if (countdown.load(std::memory_order_relaxed) <= 0 || countdown.fetch_sub(1) != 1) return false;
  failed = true;
  errno = ENOMEM;
  return true;
}

/** Blocks of watched code, in a table of its own memory: malloc cannot call malloc. Who frees them does not matter. */
constexpr size_t SLOTS = size_t{1} << 20;
void *const GONE = reinterpret_cast<void *>(1);
void *slots[SLOTS];
std::atomic_flag locked = ATOMIC_FLAG_INIT;

struct Lock {
  Lock() {
    while (locked.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~Lock() { locked.clear(std::memory_order_release); }
};

size_t slotOf(const void *block) { return (reinterpret_cast<uintptr_t>(block) >> 4) * 0x9e3779b97f4a7c15u >> 44; }

void *counted(void *block) {
  if (block == nullptr) return block;
  const Lock lock;
  size_t at = slotOf(block);
  for (size_t i = 0; i < SLOTS && slots[at] != nullptr && slots[at] != GONE; i++) at = (at + 1) % SLOTS;
  slots[at] = block;
  liveBlocks++;
  return block;
}

/** Forgets a block; whether it was known. */
bool forgotten(const void *block) {
  if (block == nullptr || liveBlocks.load(std::memory_order_relaxed) == 0) return false;
  const Lock lock;
  size_t at = slotOf(block);
  for (size_t i = 0; i < SLOTS && slots[at] != nullptr; i++, at = (at + 1) % SLOTS) {
    if (slots[at] != block) continue;
    slots[at] = GONE;
    liveBlocks--;
    return true;
  }
  return false;
}

template <class Allocate> void *allocated(const void *caller, Allocate &&allocate) {
  if (!isWatched(caller)) return allocate();
  return failsNow() ? nullptr : counted(allocate());
}

} // namespace

void watch(const void *begin, const void *end) {
  const int count = rangeCount;
  if (count == 8) return;
  ranges[count] = {reinterpret_cast<uintptr_t>(begin), reinterpret_cast<uintptr_t>(end)};
  rangeCount.store(count + 1, std::memory_order_release);
}

void failAt(int64_t n) {
  failed = false;
  countdown = n;
}

bool hasFailed() { return failed; }

int64_t live() { return liveBlocks; }

} // namespace polymla::suite::allocations

using namespace polymla::suite::allocations;

// Exported by scripts that name exactly these: see allocations.list.
extern "C" {

void *malloc(size_t size) {
  return allocated(__builtin_return_address(0), [=] { return __libc_malloc(size); });
}

void *calloc(size_t count, size_t size) {
  return allocated(__builtin_return_address(0), [=] { return __libc_calloc(count, size); });
}

void *realloc(void *block, size_t size) {
  if (block == nullptr) return allocated(__builtin_return_address(0), [=] { return __libc_realloc(block, size); });
  if (isWatched(__builtin_return_address(0)) && failsNow()) return nullptr;
  // Forgotten first: another thread may get the old address at once.
  const bool known = forgotten(block);
  void *moved = __libc_realloc(block, size);
  if (known) counted(moved != nullptr || size == 0 ? moved : block);
  return moved;
}

void *memalign(size_t alignment, size_t size) {
  return allocated(__builtin_return_address(0), [=] { return __libc_memalign(alignment, size); });
}

void *aligned_alloc(size_t alignment, size_t size) {
  return allocated(__builtin_return_address(0), [=] { return __libc_memalign(alignment, size); });
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  void *made = allocated(__builtin_return_address(0), [=] { return __libc_memalign(alignment, size); });
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}

void free(void *block) {
  forgotten(block);
  __libc_free(block);
}

void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  const auto map = [=] {
    return reinterpret_cast<void *>(syscall(SYS_mmap, address, length, protection, flags, descriptor, offset));
  };
  if (!isWatched(__builtin_return_address(0))) return map();
  if (failsNow()) return MAP_FAILED;
  void *mapped = map();
  if (mapped != MAP_FAILED) counted(mapped);
  return mapped;
}

int munmap(void *address, size_t length) {
  forgotten(address);
  return static_cast<int>(syscall(SYS_munmap, address, length));
}

} // extern "C"
