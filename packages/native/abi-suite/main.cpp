// The ABI suite: polymla-abi-suite list
//                polymla-abi-suite describe LIBRARY
//                polymla-abi-suite run LIBRARY CHECK DEVICE SEED EFFORT [KEY VALUE …]
//
// One check per process: a library that crashes ends a check, not a run. Answers on descriptor 3, as a line of JSON, with one
// more before it about a crash; stdout is left to the library, which is to write nothing there.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "check.h"
#include "faults.h"

namespace {

using namespace polymla::suite;

std::string quoted(const std::string &text) {
  std::string made = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') made += '\\';
    if (byte >= 0x20) {
      made += c;
    } else {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", byte);
      made += escape;
    }
  }
  return made + '"';
}

void answer(const std::string &json) {
  const std::string line = json + "\n";
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t now = write(3, line.data() + written, line.size() - written);
    if (now <= 0) _exit(4);
    written += static_cast<size_t>(now);
  }
}

void outcome(const char *status, const std::string &message) {
  answer("{\"status\":\"" + std::string(status) + "\",\"message\":" + quoted(message) + "}");
}

int list() {
  std::string json = "[";
  for (const Check &check : allChecks()) {
    if (json.size() > 1) json += ",";
    json += "{\"name\":" + quoted(check.name) + ",\"about\":" + quoted(check.about) + "}";
  }
  answer(json + "]");
  return 0;
}

int describe(const char *path) {
  try {
    const Subject subject(path, 0, {});
    const pmla_library &table = subject.table();
    require(table.name != nullptr && table.version != nullptr, "the table has no name or no version");
    std::string driver;
    if (table.extension != nullptr) {
      const void *found = table.extension(PMLA_EXTENSION_DRIVER, 1);
      if (found != nullptr) driver = static_cast<const char *>(found);
    }
    std::string devices;
    int32_t count = 0;
    if (table.device_count != nullptr && table.device_count(&count, nullptr) == PMLA_OK) {
      for (int32_t i = 0; i < count && i < 64; i++) {
        auto info = sized<pmla_device_info>();
        if (table.device_info == nullptr || table.device_info(i, &info, nullptr) != PMLA_OK) continue;
        info.name[sizeof info.name - 1] = info.arch[sizeof info.arch - 1] = info.reason[sizeof info.reason - 1] = '\0';
        devices += text("%s{\"usable\":%s,\"name\":", i > 0 ? "," : "", info.status == PMLA_OK ? "true" : "false") +
                   quoted(info.name) + ",\"arch\":" + quoted(info.arch) + ",\"reason\":" + quoted(info.reason) + "}";
      }
    }
    answer("{\"name\":" + quoted(table.name) + ",\"version\":" + quoted(table.version) +
           text(",\"abi\":\"%u.%u\",\"driver\":", table.abi_major, table.abi_minor) + quoted(driver) + ",\"devices\":[" +
           devices + "]}");
  } catch (const Failed &failed) {
    outcome("failed", failed.what);
  }
  return 0;
}

void run(const Check &check, const char *path, int32_t device, uint64_t seed, int64_t effort,
         std::vector<pmla_option> options) {
  try {
    // Never destroyed: handles of a check that failed may still be in use.
    const auto *subject = new Subject(path, device, std::move(options));
    outcome("passed", check.run({*subject, seed, effort}));
  } catch (const Failed &failed) {
    outcome("failed", failed.what);
  } catch (const Skipped &skipped) {
    outcome("skipped", skipped.why);
  } catch (const CallFailed &failed) {
    outcome("failed", text("%s fails with status %d: %s", failed.call.c_str(), failed.status, failed.message.c_str()));
  } catch (const std::exception &error) {
    outcome("failed", std::string("an exception left the library: ") + error.what());
  }
}

int usage() {
  fputs("polymla-abi-suite list | describe LIBRARY | run LIBRARY CHECK DEVICE SEED EFFORT [KEY VALUE …]\n", stderr);
  return 2;
}

} // namespace

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "list") == 0) return list();
  if (argc == 3 && strcmp(argv[1], "describe") == 0) {
    describe(argv[2]);
    _exit(0);
  }
  if (argc < 7 || strcmp(argv[1], "run") != 0) return usage();
  std::vector<pmla_option> options;
  tellFaults();
  for (int i = 7; i + 1 < argc; i += 2) options.push_back({argv[i], argv[i + 1]});
  for (const Check &check : allChecks()) {
    if (strcmp(check.name, argv[3]) != 0) continue;
    run(check, argv[2], static_cast<int32_t>(atoi(argv[4])), strtoull(argv[5], nullptr, 10), atoll(argv[6]),
        std::move(options));
    if (check.exits) exit(0);
    _exit(0);
  }
  return usage();
}
