#pragma once

#include "polymla_backend.h"

namespace polymla {

/** What went wrong, as pmla_error has it. Thrown, and kept by streams and events; takes no memory beside
 * itself. */
struct Failure {
  pmla_status status = PMLA_OK;
  /** The runtime's own error number, 0 when there is none. */
  int64_t nativeCode = 0;
  char message[sizeof(pmla_error::message)] = "";
  char fix[sizeof(pmla_error::fix)] = "";
};

/** @param fix what to do about it; may be empty */
[[gnu::format(printf, 3, 4)]] Failure makeFailure(pmla_status status, const char *fix, const char *format,
                                                  ...);

/** Calls `fn`; returns how it failed, PMLA_OK when it did not. No exception leaves it. */
template <class Fn> Failure attempt(Fn &&fn) noexcept;

/** The exception that is being handled. */
Failure currentFailure() noexcept;

template <class Fn> Failure attempt(Fn &&fn) noexcept {
  try {
    fn();
    return {};
  } catch (...) {
    return currentFailure();
  }
}

} // namespace polymla
