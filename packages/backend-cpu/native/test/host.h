#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>

#include "polymla_backend.h"

/** What tests of the ABI have in common: checks, and a small host. */
namespace polymla::cpu::test {

inline int failures = 0;

/** Counts what is not as expected and prints the first ones. */
#define EXPECT(condition) ::polymla::cpu::test::expect((condition), __FILE__, __LINE__, #condition)

inline bool expect(bool condition, const char *file, int line, const char *text) {
  if (!condition && ++failures <= 20) fprintf(stderr, "%s:%d: expected %s\n", file, line, text);
  return condition;
}

inline int finish() {
  printf(failures > 0 ? "%d failures\n" : "all passed\n", failures);
  return failures > 0;
}

inline pmla_error makeError() {
  pmla_error error{};
  error.size = sizeof error;
  return error;
}

/** A call that must succeed. */
#define OK(call) ::polymla::cpu::test::expectOk((call), __FILE__, __LINE__, #call)

inline void expectOk(pmla_status status, const char *file, int line, const char *text) {
  if (status != PMLA_OK) {
    fprintf(stderr, "status %d:\n", status);
    expect(false, file, line, text);
  }
}

inline const pmla_library &library() {
  static const pmla_library *opened = [] {
    pmla_host host{};
    host.size = sizeof host;
    host.abi_major = PMLA_ABI_MAJOR;
    host.abi_minor = PMLA_ABI_MINOR;
    const pmla_library *found = nullptr;
    OK(pmla_library_v1(&host, &found, nullptr));
    return found;
  }();
  return *opened;
}

inline pmla_device openDevice(std::initializer_list<pmla_option> options) {
  pmla_device device = nullptr;
  pmla_error error = makeError();
  if (library().open(0, options.begin(), static_cast<int32_t>(options.size()), &device, &error) != PMLA_OK) {
    fprintf(stderr, "%s\n", error.message);
    EXPECT(!"the device opens");
  }
  return device;
}

/** Waits until what is enqueued on a stream is done; returns how it ended. */
inline pmla_status finishWork(pmla_device device, pmla_stream stream, pmla_error *error = nullptr) {
  const pmla_library &l = library();
  pmla_event event = nullptr;
  OK(l.event_new(device, &event, nullptr));
  OK(l.event_record(event, stream, nullptr));
  pmla_status status;
  while ((status = l.event_query(event, error)) == PMLA_NOT_READY) {
  }
  l.event_free(event);
  return status;
}

} // namespace polymla::cpu::test
