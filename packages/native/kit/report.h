#pragma once

#include "failure.h"

namespace polymla {

/** Writes how a call failed into the caller's record, which may be NULL; returns the status. */
pmla_status report(pmla_error *error, const Failure &failure) noexcept;

/** A call of the ABI: what `fn` throws becomes a status and fills `error`. */
template <class Fn> pmla_status guarded(pmla_error *error, Fn &&fn) noexcept {
  try {
    fn();
    return PMLA_OK;
  } catch (...) {
    return report(error, currentFailure());
  }
}

} // namespace polymla
