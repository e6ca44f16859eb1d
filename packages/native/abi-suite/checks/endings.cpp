#include <dirent.h>
#include <link.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "../allocations.h"
#include "../check.h"
#include "../work.h"

namespace polymla::suite {

namespace {

/** Lets the allocations of the library, and of a C++ runtime that it is linked against, count. */
void watchLibrary(const Subject &subject) {
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *context) {
        const auto &own = *static_cast<const Subject *>(context);
        const bool isRuntime = strstr(info->dlpi_name, "libstdc++") || strstr(info->dlpi_name, "libc++");
        if (own.path() != info->dlpi_name && !isRuntime) return 0;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const auto &segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
          const char *begin = reinterpret_cast<const char *>(info->dlpi_addr + segment.p_vaddr);
          allocations::watch(begin, begin + segment.p_memsz);
        }
        return 0;
      },
      const_cast<Subject *>(&subject));
}

/** A device's whole life. */
std::vector<uint8_t> life(const Context &context, const Sample &sample) {
  const Device device(context.subject);
  Stream stream(device);
  Work work(device, sample, {context.seed, 0xff, false});
  return work.run(stream);
}

Sample firstDoable(const Context &context, size_t index) {
  const Device device(context.subject);
  const auto all = doable(device, index + 1);
  return all[std::min(index, all.size() - 1)];
}

int64_t entriesOf(const char *folder) {
  DIR *dir = opendir(folder);
  if (dir == nullptr) return 0;
  int64_t count = 0;
  while (readdir(dir) != nullptr) count++;
  closedir(dir);
  return count;
}

/** A thread that has been told to end may take a moment. */
template <class Count> int64_t settled(Count &&count, int64_t expected) {
  int64_t found = count();
  for (int i = 0; i < 500 && found > expected; i++) {
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
    found = count();
  }
  return found;
}

} // namespace

namespace {

/** A life in which allocation n fails. Whether there was one; adds to the count of those that the library did without. */
bool lifeWithout(int64_t n, const Context &context, const Sample &sample, const std::vector<uint8_t> &expected,
                 int64_t &absorbed) {
  const auto which = text("%s: allocation %lld failed, and ", sample.name.c_str(), static_cast<long long>(n));
  allocations::failAt(n);
  bool failed = false;
  try {
    const auto found = life(context, sample);
    failed = allocations::hasFailed();
    allocations::failAt(0);
    require(found == expected, which + "results are others");
    if (failed) absorbed++;
  } catch (const CallFailed &call) {
    failed = allocations::hasFailed();
    allocations::failAt(0);
    const auto how = text("%s returns status %d: ", call.call.c_str(), call.status) + call.message;
    require(failed, how);
    require(call.status == PMLA_OUT_OF_MEMORY, which + how);
  }
  return failed;
}

} // namespace

std::string checkHostMemory(const Context &context) {
  watchLibrary(context.subject);
  constexpr int64_t MOST = 2000;
  int64_t failures = 0, absorbed = 0;
  for (size_t index = 0; index < 3; index++) {
    const Sample sample = firstDoable(context, index);
    const auto expected = life(context, sample);
    for (int64_t n = 1; n <= MOST && lifeWithout(n, context, sample, expected, absorbed); n++) {
      failures++;
      // What a library keeps for later it keeps once; what it loses, every time.
      const int64_t once = allocations::live();
      lifeWithout(n, context, sample, expected, absorbed);
      require(settled(allocations::live, once) <= once,
              text("%s: allocation %lld failed, and memory is lost", sample.name.c_str(), static_cast<long long>(n)));
    }
    require(life(context, sample) == expected, sample.name + ": other results after allocations that failed");
  }
  if (failures == 0) throw Skipped{"the library allocates nothing that the suite can let fail"};
  return text("%lld allocations failed, twice each; the library did without %lld of them",
              static_cast<long long>(failures), static_cast<long long>(absorbed / 2));
}

namespace {

uint64_t memoryFree(const Context &context) {
  uint64_t total = 0, available = 0;
  const Device device(context.subject);
  context.subject.table().memory_info(device, &total, &available, nullptr);
  return available;
}

/** Whether the device's free memory tells what a library has lost: that of a CPU is every process's. */
bool hasMemoryOfItsOwn(const Context &context) {
  if (context.subject.table().memory_info == nullptr) return false;
  const Device device(context.subject);
  return !hasHostMemory(device);
}

} // namespace

std::string checkLeaks(const Context &context) {
  watchLibrary(context.subject);
  std::vector<Sample> all;
  {
    const Device device(context.subject);
    all = doable(device, samples().size());
  }
  const auto lives = [&] {
    for (const Sample &sample : all) life(context, sample);
  };
  const auto threads = [] { return entriesOf("/proc/self/task"); };
  const auto files = [] { return entriesOf("/proc/self/fd"); };
  lives();
  lives();
  const int64_t blocks = allocations::live(), tasks = threads(), descriptors = files();
  // Others use the device's memory, too: what is lost is lost every time.
  constexpr uint64_t LOSS = uint64_t{8} << 20;
  const bool measurable = hasMemoryOfItsOwn(context);
  bool shrinks = measurable;
  uint64_t before = measurable ? memoryFree(context) : 0;
  for (int64_t i = 0; i < 4 * context.effort; i++) {
    lives();
    const uint64_t after = measurable ? memoryFree(context) : 0;
    shrinks = shrinks && after + LOSS <= before;
    before = after;
  }
  require(!shrinks, "device memory shrinks every time that devices have been used and closed");
  const int64_t blocksAfter = settled(allocations::live, blocks);
  require(blocksAfter <= blocks, text("%lld blocks of host memory more after devices have been closed",
                                      static_cast<long long>(blocksAfter - blocks)));
  require(settled(threads, tasks) <= tasks, "threads are left after devices have been closed");
  require(files() <= descriptors, "files are left open after devices have been closed");
  return text("%zu problems, five times each on a device of their own", all.size());
}

std::string checkExit(const Context &context) {
  // Not given back: the process ends with all of it.
  const auto *device = new Device(context.subject);
  auto *stream = new Stream(*device);
  for (const Sample &sample : doable(*device, 6)) {
    auto *work = new Work(*device, sample, {context.seed, 0xff, false});
    work->upload(*stream);
    work->launch(*stream);
  }
  return "exit() with launches under way";
}

} // namespace polymla::suite
