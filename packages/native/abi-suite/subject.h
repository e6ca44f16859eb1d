#pragma once

#include <polymla_backend.h>

#include <cstdint>
#include <string>
#include <vector>

#include "outcome.h"

namespace polymla::suite {

template <class T> T sized() {
  T made;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  return made;
}

/** The library under test. */
class Subject {
public:
  /** Loads it. Throws Failed. */
  Subject(const std::string &path, int32_t device, std::vector<pmla_option> options);

  const pmla_library &table() const { return table_; }
  const std::string &path() const { return path_; }
  pmla_entry entry() const { return entry_; }
  const pmla_host &host() const { return host_; }
  int32_t device() const { return device_; }
  const std::vector<pmla_option> &options() const { return options_; }
  /** Whether an address lies in the library's file or in a C++ runtime that it is linked against. */
  bool owns(const void *address) const;

private:
  const std::string path_;
  const int32_t device_;
  const std::vector<pmla_option> options_;
  pmla_host host_;
  pmla_entry entry_;
  pmla_library table_{};
};

/** A record for a call's error; knows afterwards whether the call kept to the rules about it. */
class ErrorRecord {
public:
  ErrorRecord();
  pmla_error *get() { return &record_; }
  /** Throws Failed unless the record fits the status: untouched, or filled in words. */
  void check(pmla_status status, const char *call) const;
  std::string message() const;

private:
  pmla_error record_;
};

/** How a call failed, where it may. */
struct CallFailed {
  pmla_status status;
  std::string call, message;
};

/** Makes a call that should succeed: `call(error)` returns the status. Throws CallFailed, and Failed for a bad record. */
template <class Fn> void succeed(const char *name, Fn &&call) {
  ErrorRecord error;
  const pmla_status status = call(error.get());
  error.check(status, name);
  if (status != PMLA_OK) throw CallFailed{status, name, error.message()};
}

/** A text of fixed size, as far as it goes; Failed where it has no end or is not UTF-8. */
std::string textOf(const char *chars, size_t size, const char *what);

/** Devices, streams, events, memory and plans that give themselves back. */
class Device {
public:
  explicit Device(const Subject &subject);
  ~Device();
  Device(const Device &) = delete;
  operator pmla_device() const { return handle_; }
  const pmla_library &table;

private:
  pmla_device handle_ = nullptr;
};

class Stream {
public:
  explicit Stream(const Device &device);
  ~Stream();
  Stream(const Stream &) = delete;
  operator pmla_stream() const { return handle_; }
  void upload(void *target, const void *source, size_t bytes);
  void download(void *target, const void *source, size_t bytes);
  void fill(void *target, uint8_t value, size_t bytes);
  /** Waits for everything that is enqueued. Throws CallFailed with how it failed. */
  void finish();
  const pmla_library &table;

private:
  const Device &device_;
  pmla_stream handle_ = nullptr;
};

class Event {
public:
  explicit Event(const Device &device);
  ~Event();
  Event(const Event &) = delete;
  operator pmla_event() const { return handle_; }
  void record(pmla_stream stream);
  /** Polls until it has happened, at most a minute. Throws CallFailed with how the work before it failed. */
  void wait();
  const pmla_library &table;

private:
  pmla_event handle_ = nullptr;
};

} // namespace polymla::suite
