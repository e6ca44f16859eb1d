#include "failure.h"

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <new>

namespace polymla {

Failure makeFailure(pmla_status status, const char *fix, const char *format, ...) {
  Failure failure;
  failure.status = status;
  va_list args;
  va_start(args, format);
  vsnprintf(failure.message, sizeof failure.message, format, args);
  va_end(args);
  snprintf(failure.fix, sizeof failure.fix, "%s", fix);
  return failure;
}

Failure currentFailure() noexcept {
  try {
    throw;
  } catch (const Failure &failure) {
    return failure;
  } catch (const std::bad_alloc &) {
    return makeFailure(PMLA_OUT_OF_MEMORY, "Free memory, or use smaller batches",
                       "the process has no memory left for the backend's own use");
  } catch (const std::exception &exception) {
    return makeFailure(PMLA_INTERNAL, "Please report it", "unexpected exception: %s", exception.what());
  } catch (...) {
    return makeFailure(PMLA_INTERNAL, "Please report it", "unexpected exception");
  }
}

} // namespace polymla
