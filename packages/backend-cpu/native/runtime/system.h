#pragma once

#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

namespace polymla::cpu {

/** Processors that this process may run on, in order. */
std::vector<int> usableProcessors();
/** As many threads as there are usable processors, or as the process's CPU quota (cgroup) fills, if that is
 * less; ≥ 1. */
int defaultThreads();
/** Throws Failure. */
void pinThread(std::thread &thread, int processor);

struct MemoryInfo {
  uint64_t total;
  uint64_t available;
};
/** Memory of the machine, or what the process's cgroup leaves of it, in bytes. */
MemoryInfo memoryInfo();

/** Bytes of the largest cache of a processor; 0: unknown. */
uint64_t lastLevelCacheBytes();

/** Writes the processor's name, such as "AMD EPYC 9654 96-Core Processor", or its architecture. */
void processorName(char *name, size_t size);

/** How often this process is the child of a fork since the library was loaded: handles of before are dead. */
unsigned forkCount();

/** Keeps the calling thread, and threads that it starts, from handling signals. */
class SignalsBlocked {
public:
  SignalsBlocked();
  ~SignalsBlocked();

private:
  sigset_t before_;
};

} // namespace polymla::cpu
