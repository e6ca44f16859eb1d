#pragma once
#include <cuda_runtime.h>

#include <string>

#include "kit/failure.h"

namespace polymla {

/** Why a device cannot be used; the status is PMLA_OK when it can. */
struct Unusable {
  pmla_status status = PMLA_OK;
  std::string reason;
  const char* fix = "";
};

/** Judges a device by its compute capability and its compute mode (cudaComputeMode…). */
Unusable unusable(int major, int minor, int computeMode);

/**
 * Why cudaGetDeviceCount failed.
 *
 * @param driverVersion of cudaDriverGetVersion: 1000 · major + 10 · minor of CUDA, 0 without a driver
 */
Failure unavailableDriver(cudaError_t code, int driverVersion);

}  // namespace polymla
