#pragma once

#include <string>

#include "polymla_backend.h"

namespace polymla {

/** What a library answers to a problem: the fields of pmla_fit. */
struct Fit {
  int grade = PMLA_FIT_NO;
  uint64_t workspaceBytes = 0;
  int64_t maxPartitions = 0;
  int64_t fixedOverhead = 0;
  bool schedules = false;
  /** For PMLA_FIT_NO: one sentence without a full stop that names property, value and limit. */
  std::string why;
};

/** Writes an answer as far as its receiver knows it. Throws Failure when there is no receiver. */
void writeFit(pmla_fit *to, const Fit &fit);

} // namespace polymla
