#include "report.h"

#include <cstring>

namespace polymla {

pmla_status report(pmla_error *error, const Failure &failure) noexcept {
  pmla_error filled{};
  filled.status = failure.status;
  filled.native_code = failure.nativeCode;
  memcpy(filled.message, failure.message, sizeof filled.message);
  memcpy(filled.fix, failure.fix, sizeof filled.fix);
  pmla_write(error, &filled, sizeof filled); // NULL, or of no size: nobody reads it
  return failure.status;
}

} // namespace polymla
