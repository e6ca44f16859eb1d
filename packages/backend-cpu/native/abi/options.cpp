#include "options.h"

#include <charconv>
#include <cstring>
#include <string>

#include "kit/failure.h"
#include "kit/options.h"
#include "../runtime/system.h"

namespace polymla::cpu {

namespace {

constexpr int MOST_THREADS = 1024;

[[noreturn]] void refuse(const char *key, const char *expected, const char *value) {
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "option %s: expected %s, found '%.60s'", key, expected, value);
}

int readThreads(const char *value) {
  int threads = 0;
  const char *end = value + strlen(value);
  const auto [stop, code] = std::from_chars(value, end, threads);
  if (code != std::errc() || stop != end || threads < 1 || threads > MOST_THREADS)
    refuse("threads", "1 to 1024", value);
  return threads;
}

bool readPin(const char *value) {
  if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) refuse("pin", "0 or 1", value);
  return value[0] == '1';
}

/** Names of instruction sets, best first. */
std::string listed(bool (*which)(const Kernels &)) {
  int count;
  const Kernels *const *all = allKernels(&count);
  std::string names;
  for (int i = 0; i < count; i++) {
    if (which(*all[i])) names += (names.empty() ? "" : ", ") + std::string(all[i]->name);
  }
  return names;
}

const Kernels &readIsa(const char *value) {
  int count;
  const Kernels *const *all = allKernels(&count);
  for (int i = 0; i < count; i++) {
    if (strcmp(all[i]->name, value) != 0) continue;
    if (all[i]->usable()) return *all[i];
    const std::string usable = listed([](const Kernels &kernels) { return kernels.usable(); });
    throw makeFailure(PMLA_UNSUPPORTED, "",
                      "option isa: expected one that this processor has (%s), found '%s'", usable.c_str(),
                      value);
  }
  refuse("isa", ("one of " + listed([](const Kernels &) { return true; })).c_str(), value);
}

} // namespace

Options readOptions(const pmla_option *options, int32_t count) {
  Options read{nullptr, 0, false};
  eachOption(options, count, [&](const char *key, const char *value) {
    if (strcmp(key, "threads") == 0)
      read.threads = readThreads(value);
    else if (strcmp(key, "pin") == 0)
      read.pin = readPin(value);
    else if (strcmp(key, "isa") == 0)
      read.kernels = &readIsa(value);
    else
      throw makeFailure(PMLA_INVALID_ARGUMENT, "", "options: expected threads, pin or isa, found '%.60s'",
                        key);
  });
  if (read.kernels == nullptr) read.kernels = &bestKernels();
  if (read.threads == 0) read.threads = defaultThreads();
  return read;
}

const Kernels &bestKernels() {
  int count;
  const Kernels *const *all = allKernels(&count);
  int best = 0;
  while (!all[best]->usable()) best++; // the last one always is
  return *all[best];
}

} // namespace polymla::cpu
