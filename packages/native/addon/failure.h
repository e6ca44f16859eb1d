#pragma once

#include <polymla_backend.h>

#include <cstdint>
#include <string>

namespace polymla {

/** Statuses of the host's own, beside those of pmla_status. */
enum HostStatus : int32_t { HOST_LOAD_FAILED = -1, HOST_DISPOSED = -2 };

/** How a call failed. Thrown, kept by events, and made a PolymlaError on the way to JavaScript. */
struct Failure {
  int32_t status;
  int64_t nativeCode;
  std::string message;
  std::string fix;
  /** Id of the device, empty when there is none. */
  std::string device;
};

/** The text in a fixed array that may lack its NUL. */
std::string boundedText(const char *text, size_t capacity);

/** The record that a library's call fills. Whatever it holds afterwards, reading it stays inside. */
class ErrorRecord {
 public:
  ErrorRecord() : record_{} { record_.size = sizeof record_; }
  pmla_error *get() { return &record_; }
  /** What a call ended with, given that it is not PMLA_OK. */
  Failure failure(pmla_status status, const char *call, const std::string &device) const;

 private:
  pmla_error record_;
};

}  // namespace polymla
