#pragma once

#include <polymla_backend.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "failure.h"

namespace polymla {

/** Takes one log message of a library; on any thread. */
class LogListener {
 public:
  virtual ~LogListener() = default;
  virtual void log(const std::string &path, int32_t level, const std::string &message) = 0;
};

/** A loaded backend library. It stays loaded for good, and is shared by every thread that opens its path. */
class Library {
 public:
  /**
   * Loads the library at a canonical path unless the process has it already. May take long. Throws Failure.
   * listener: of the library's log from now on; may be NULL
   */
  static Library &at(const std::string &path, const std::shared_ptr<LogListener> &listener);

  /** The library's table as far as it goes; members that it does not know are NULL. */
  const pmla_library &table() const { return table_; }
  const std::string &path() const { return path_; }

 private:
  explicit Library(const std::string &path);
  void addListener(const std::shared_ptr<LogListener> &listener);
  void load();
  static void log(void *context, int32_t level, const char *message);

  const std::string path_;
  const pmla_host host_;
  pmla_library table_{};
  std::mutex mutex_;
  bool loaded_ = false;
  std::mutex listenersMutex_;
  std::vector<std::weak_ptr<LogListener>> listeners_;
};

}  // namespace polymla
