#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "subject.h"

namespace polymla::suite {

/** What a check works with. */
struct Context {
  const Subject &subject;
  uint64_t seed;
  /** How many random problems and repetitions, relative to the least: 1, 2, … */
  int64_t effort;
};

/** One check, which runs in a process of its own. */
struct Check {
  const char *name;
  /** What a library that passes it does. */
  const char *about;
  /** Returns what was looked at, in words; throws Failed, Skipped, or CallFailed where a call had to succeed. */
  std::string (*run)(const Context &context);
  /** Whether the process ends by exit(), as programs do, instead of at once. */
  bool exits = false;
};

/** All of them, in the order in which they run. */
std::vector<Check> allChecks();

std::string checkTable(const Context &);
std::string checkDevices(const Context &);
std::string checkErrors(const Context &);
std::string checkSizes(const Context &);
std::string checkEnums(const Context &);
std::string checkFit(const Context &);
std::string checkTransfers(const Context &);
std::string checkLaunches(const Context &);
std::string checkGuardPages(const Context &);
std::string checkEvents(const Context &);
std::string checkStreams(const Context &);
std::string checkThreads(const Context &);
std::string checkGraphs(const Context &);
std::string checkDeviceMemory(const Context &);
std::string checkHostMemory(const Context &);
std::string checkLeaks(const Context &);
std::string checkExit(const Context &);

} // namespace polymla::suite
