// Memory: every allocation of a round of open, make, launch, capture, replay and close fails once, and each
// time the call that needed it says PMLA_OUT_OF_MEMORY, nothing is lost and nothing crashes; and 1,000 rounds
// leave nothing behind.

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <thread>

#include "workload.h"

// The linker sends the library's own calls to the functions below whose names begin with __wrap.
extern "C" {
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *memory);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
int __real_munmap(void *memory, size_t bytes);
}

namespace {

/** Allocations until one fails; negative: none does. */
std::atomic<int64_t> untilFailure{-1};
std::atomic<int64_t> live{0};

bool fails() { return untilFailure.load() >= 0 && untilFailure.fetch_sub(1) == 0; }

void *counted(void *memory) {
  if (memory != nullptr) live.fetch_add(1);
  return memory;
}

void *newBytes(size_t bytes, size_t alignment) {
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void *memory = fails() ? nullptr : counted(__real_aligned_alloc(alignment, whole));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void deleteBytes(void *memory) {
  if (memory != nullptr) live.fetch_sub(1);
  __real_free(memory);
}

} // namespace

void *operator new(size_t bytes) { return newBytes(bytes, alignof(std::max_align_t)); }
void *operator new(size_t bytes, std::align_val_t alignment) {
  return newBytes(bytes, static_cast<size_t>(alignment));
}
void operator delete(void *memory) noexcept { deleteBytes(memory); }
void operator delete(void *memory, size_t) noexcept { deleteBytes(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { deleteBytes(memory); }
void operator delete(void *memory, size_t, std::align_val_t) noexcept { deleteBytes(memory); }

extern "C" {
void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return fails() ? nullptr : counted(__real_aligned_alloc(alignment, bytes));
}
void __wrap_free(void *memory) {
  if (memory != nullptr) live.fetch_sub(1);
  __real_free(memory);
}
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
  return fails() ? MAP_FAILED : counted(__real_mmap(at, bytes, protection, flags, file, offset));
}
int __wrap_munmap(void *memory, size_t bytes) {
  live.fetch_sub(1);
  return __real_munmap(memory, bytes);
}
}

namespace {

using namespace polymla::cpu::test;

constexpr uint64_t MAPPED = uint64_t{3} << 20;
#ifdef __SANITIZE_THREAD__
constexpr int ROUNDS = 50; // ThreadSanitizer takes its time for a thread's beginning
#else
constexpr int ROUNDS = 1000;
#endif

/** Everything that allocates. What fails leaves its status in `work`. */
void round(Workload &work) {
  const pmla_library &l = work.l;
  const auto call = [&](pmla_status status) { work.status = status; };
  work.make("2");
  void *large = nullptr;
  if (work.ok()) call(l.alloc(work.device, MAPPED, &large, &work.error));
  if (work.ok()) call(l.fill(work.stream, large, 1, MAPPED, &work.error));
  if (work.ok()) call(l.upload(work.stream, large, "text", 5, &work.error));
  if (work.ok())
    call(l.copy(work.stream, static_cast<char *>(large) + MAPPED / 2, large, MAPPED / 2, &work.error));
  work.launch();
  if (work.ok()) {
    call(l.capture_begin(work.stream, &work.error));
    const bool began = work.ok();
    work.launch();
    const pmla_status launched = work.status;
    // A capture ends, whatever came of its launches.
    if (began) call(l.capture_end(work.stream, &work.graph, &work.error));
    if (launched != PMLA_OK) work.status = launched;
  }
  if (work.ok()) call(l.graph_launch(work.graph, work.stream, &work.error));
  if (work.ok()) call(l.event_record(work.event, work.stream, &work.error));
  if (work.ok()) call(l.event_wait(work.event, work.stream, &work.error));
  std::atomic<bool> notified{false};
  if (work.ok()) {
    call(l.event_notify(
        work.event, [](void *flag) { static_cast<std::atomic<bool> *>(flag)->store(true); }, &notified,
        &work.error));
    while (work.ok() && !notified) std::this_thread::yield();
  }
  work.results();
  if (work.stream != nullptr && !work.ok()) {
    untilFailure = -1;
    finishWork(work.device, work.stream);
  }
  if (large != nullptr) l.release(work.device, large);
}

} // namespace

int main() {
  library();
  {
    Workload work; // what libc and libstdc++ make once and keep
    round(work);
    EXPECT(work.ok());
  }
  const int64_t before = live;

  int64_t failed = 0;
  for (bool hit = true; hit; failed++) {
    {
      Workload work;
      bool own = false; // the allocation was this test's
      untilFailure = failed;
      try {
        round(work);
      } catch (const std::bad_alloc &) {
        own = true;
      }
      hit = untilFailure < 0;
      untilFailure = -1;
      if (own && work.stream != nullptr) finishWork(work.device, work.stream);
      if (hit && !own)
        EXPECT(work.status == PMLA_OUT_OF_MEMORY && work.error.status == PMLA_OUT_OF_MEMORY &&
               work.error.message[0] != '\0');
      if (!hit) EXPECT(work.ok());
    }
    if (!EXPECT(live == before)) break;
  }
  printf("%lld allocations failed in turn\n", static_cast<long long>(failed - 1));
  EXPECT(failed > 100);

  for (int i = 0; i < ROUNDS; i++) {
    Workload work;
    round(work);
    EXPECT(work.ok());
  }
  EXPECT(live == before);
  return finish();
}
