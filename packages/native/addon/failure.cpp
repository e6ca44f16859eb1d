#include "failure.h"

#include <cstring>

namespace polymla {

std::string boundedText(const char *text, size_t capacity) { return std::string(text, strnlen(text, capacity)); }

Failure ErrorRecord::failure(pmla_status status, const char *call, const std::string &device) const {
  std::string message = boundedText(record_.message, sizeof record_.message);
  if (message.empty()) message = std::string(call) + " failed with status " + std::to_string(status);
  return {status, record_.native_code, message, boundedText(record_.fix, sizeof record_.fix), device};
}

}  // namespace polymla
