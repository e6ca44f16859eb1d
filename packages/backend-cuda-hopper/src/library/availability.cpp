#include "availability.h"

#include "cuda-failure.h"

namespace polymla {

Unusable unusable(int major, int minor, int computeMode) {
  if (major != 9 || minor != 0) {
    return {PMLA_DEVICE_UNAVAILABLE,
            "compute capability " + std::to_string(major) + "." + std::to_string(minor) + ", and the kernels are for 9.0 (Hopper)",
            "Use another backend for this device"};
  }
  if (computeMode == cudaComputeModeProhibited) {
    return {PMLA_DEVICE_UNAVAILABLE, "the compute mode of the device is Prohibited", "Run nvidia-smi -c DEFAULT as root"};
  }
  return {};
}

Failure unavailableDriver(cudaError_t code, int driverVersion) {
  Failure failure;
  // The runtime says 35 of a driver that is not there, too.
  if (code == cudaErrorInsufficientDriver && driverVersion == 0) {
    failure = makeFailure(PMLA_NO_DEVICE, newerDriver(), "there is no NVIDIA driver (libcuda.so.1)");
  } else if (code == cudaErrorInsufficientDriver) {
    failure = makeFailure(PMLA_DRIVER_TOO_OLD, newerDriver(), "the NVIDIA driver is for CUDA %d.%d, and CUDA %d.0 is needed",
                          driverVersion / 1000, driverVersion % 1000 / 10, CUDART_VERSION / 1000);
  } else if (code == cudaErrorNoDevice) {
    failure = makeFailure(PMLA_NO_DEVICE, "Run nvidia-smi to see the devices, and check CUDA_VISIBLE_DEVICES",
                          "the NVIDIA driver has no device for this process");
  } else {
    return cudaFailure(code, "cudaGetDeviceCount");
  }
  failure.nativeCode = code;
  return failure;
}

}  // namespace polymla
