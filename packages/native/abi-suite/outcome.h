#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

namespace polymla::suite {

/** The library broke a rule. */
struct Failed {
  std::string what;
};

/** The check does not apply to this library or device. */
struct Skipped {
  std::string why;
};

[[gnu::format(printf, 1, 2)]] inline std::string text(const char *format, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

inline void require(bool held, const std::string &otherwise) {
  if (!held) throw Failed{otherwise};
}

} // namespace polymla::suite
