#pragma once
#include "gpu/dialect/runtime.h"
#include "params.h"
#include "tile-sizes.h"

namespace polymla {

/** What products are made of. */
enum class Compute { Bf16, F16, F32 };

/** How the attention kernel is compiled, out of those that a device has room for. */
struct AttendKernel {
  Compute compute;
  TileSizes sizes; ///< without rows: none fits

  /** @param sharedMost shared memory that a block of the device may have */
  static AttendKernel choose(Compute compute, int64_t rows, int sharedMost);
  /** Shared memory that the smallest kernel takes. */
  static int least(Compute compute);
};

/** Lets every kernel that a device has room for be launched on it. The device is current. Throws Failure. */
void prepareAttend(int sharedMost);

/**
 * Enqueues attention, and what combines splits.
 *
 * @param direct whether keys may be copied 16 bytes at a time as they are
 */
void launchAttend(const AttendKernel &kernel, bool direct, const AttendParams &params, rt::Stream stream);

} // namespace polymla
