#pragma once

#include "../kernels/kernels.h"
#include "polymla_backend.h"

namespace polymla::cpu {

/** How a device is opened. */
struct Options {
  /** `isa`: an instruction set by name; the best that this processor has. */
  const Kernels *kernels;
  /** `threads`: 1 to 1024; one per processor that this process may use. */
  int threads;
  /** `pin`: 1 keeps each thread on a processor of its own, 0 lets the system move them; 0. */
  bool pin;
};

/** Throws Failure PMLA_INVALID_ARGUMENT, or PMLA_UNSUPPORTED for an instruction set that this processor
 * lacks. */
Options readOptions(const pmla_option *options, int32_t count);

/** The best instruction set that this processor has. */
const Kernels &bestKernels();

} // namespace polymla::cpu
