#include "system.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "kit/failure.h"

namespace polymla::cpu {

namespace {

/** The beginning of a file; empty when it cannot be read. */
std::string readText(const char *path, size_t limit) {
  std::string text(limit, '\0');
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  size_t length = 0;
  if (file >= 0) {
    ssize_t got;
    while (length < limit && (got = read(file, text.data() + length, limit - length)) > 0)
      length += static_cast<size_t>(got);
    close(file);
  }
  text.resize(length);
  return text;
}

/** The number after `key` at the beginning of a line; `none` when there is none. */
uint64_t numberAfter(const std::string &text, const char *key, uint64_t none) {
  for (size_t at = 0; (at = text.find(key, at)) != std::string::npos; at++) {
    if (at == 0 || text[at - 1] == '\n') return strtoull(text.c_str() + at + strlen(key), nullptr, 10);
  }
  return none;
}

/** Whether a list such as "cpu,cpuacct" has `name`. */
bool lists(std::string_view list, std::string_view name) {
  while (true) {
    const size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == name) return true;
    if (end == list.size()) return false;
    list.remove_prefix(end + 1);
  }
}

/**
 * Calls `look` with the directory of this process's cgroup for a controller, then with its ancestors'. Both
 * hierarchies are looked for where systemd and containers mount them. A line of the file is
 * `id:controllers:path`, version 2 having no controllers.
 */
template <class Look> void eachCgroup(std::string_view controller, Look look) {
  const std::string groups = readText("/proc/self/cgroup", 16384);
  for (size_t line = 0; line < groups.size();) {
    const size_t end = std::min(groups.find('\n', line), groups.size());
    const size_t controllers = std::min(groups.find(':', line), end - 1) + 1;
    const size_t path = std::min(groups.find(':', controllers), end - 1) + 1;
    const bool unified = path == controllers + 1;
    if (unified || lists(std::string_view(groups).substr(controllers, path - 1 - controllers), controller)) {
      std::string root("/sys/fs/cgroup");
      if (!unified) root.append("/").append(controller);
      for (std::string group(groups, path, end - path);; group.resize(group.rfind('/'))) {
        look(root + group, unified);
        if (group.find('/') == std::string::npos) break;
      }
    }
    line = end + 1;
  }
}

double cpuQuota() {
  double quota = HUGE_VAL;
  eachCgroup("cpu", [&](const std::string &group, bool unified) {
    double time = 0;
    double period = 0;
    if (unified) {
      if (sscanf(readText((group + "/cpu.max").c_str(), 64).c_str(), "%lf %lf", &time, &period) != 2) return;
    } else {
      time = atof(readText((group + "/cpu.cfs_quota_us").c_str(), 64).c_str());
      period = atof(readText((group + "/cpu.cfs_period_us").c_str(), 64).c_str());
    }
    if (time > 0 && period > 0) quota = std::min(quota, time / period);
  });
  return quota;
}

std::atomic<unsigned> forks{0};

} // namespace

std::vector<int> usableProcessors() {
  std::vector<int> processors;
  for (int limit = 1024; processors.empty() && limit <= 1 << 20; limit *= 4) {
    const size_t bytes = CPU_ALLOC_SIZE(limit);
    std::vector<unsigned long> words(bytes / sizeof(unsigned long));
    cpu_set_t *set = reinterpret_cast<cpu_set_t *>(words.data());
    if (sched_getaffinity(0, bytes, set) != 0) continue; // EINVAL: the kernel knows more processors
    for (int i = 0; i < limit; i++) {
      if (CPU_ISSET_S(i, bytes, set)) processors.push_back(i);
    }
  }
  if (processors.empty()) processors.push_back(0);
  return processors;
}

int defaultThreads() {
  const double processors = static_cast<double>(usableProcessors().size());
  return std::max(1, static_cast<int>(std::ceil(std::min(processors, cpuQuota()))));
}

void pinThread(std::thread &thread, int processor) {
  const int limit = processor + 1;
  const size_t bytes = CPU_ALLOC_SIZE(limit);
  std::vector<unsigned long> words(bytes / sizeof(unsigned long));
  cpu_set_t *set = reinterpret_cast<cpu_set_t *>(words.data());
  CPU_SET_S(processor, bytes, set);
  const int error = pthread_setaffinity_np(thread.native_handle(), bytes, set);
  if (error != 0) {
    throw makeFailure(PMLA_DEVICE_UNAVAILABLE, "Do without pin",
                      "a thread cannot be pinned to processor %d: %s", processor, strerror(error));
  }
}

MemoryInfo memoryInfo() {
  constexpr uint64_t KIB = 1024;
  const std::string text = readText("/proc/meminfo", 4096);
  MemoryInfo info{numberAfter(text, "MemTotal:", 0) * KIB, numberAfter(text, "MemAvailable:", 0) * KIB};
  eachCgroup("memory", [&](const std::string &group, bool unified) {
    const std::string limitText =
        readText((group + (unified ? "/memory.max" : "/memory.limit_in_bytes")).c_str(), 64);
    if (limitText.empty() || limitText[0] == 'm') return; // "max"
    const uint64_t limit = strtoull(limitText.c_str(), nullptr, 10);
    const uint64_t used = strtoull(
        readText((group + (unified ? "/memory.current" : "/memory.usage_in_bytes")).c_str(), 64).c_str(),
        nullptr, 10);
    info.total = std::min(info.total, limit);
    info.available = std::min(info.available, limit > used ? limit - used : 0);
  });
  return info;
}

uint64_t lastLevelCacheBytes() {
  uint64_t largest = 0;
  for (int index = 0; index < 8; index++) {
    char path[80];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    largest = std::max<uint64_t>(largest, strtoull(readText(path, 64).c_str(), nullptr, 10) * 1024);
  }
  return largest;
}

void processorName(char *name, size_t size) {
  const std::string text = readText("/proc/cpuinfo", 8192);
  const char *key = "model name\t: ";
  const size_t at = text.find(key);
  if (at != std::string::npos) {
    const size_t begin = at + strlen(key);
    snprintf(name, size, "%s", text.substr(begin, text.find('\n', begin) - begin).c_str());
  } else {
    utsname machine;
    snprintf(name, size, "%s", uname(&machine) == 0 ? machine.machine : "CPU");
  }
}

unsigned forkCount() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(registered);
  return forks.load(std::memory_order_relaxed);
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

} // namespace polymla::cpu
