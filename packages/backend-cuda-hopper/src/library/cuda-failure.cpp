#include "cuda-failure.h"

#include <cstring>


namespace polymla {
namespace {

/** The name of a call without its arguments. */
int nameLength(const char* call) { return static_cast<int>(std::strcspn(call, "(")); }

constexpr int cudaMajor = CUDART_VERSION / 1000;

}  // namespace

const char* newerDriver() {
  static_assert(cudaMajor == 12 || cudaMajor == 13, "the driver that this CUDA needs");
  return cudaMajor == 12 ? "Install an NVIDIA driver of version 525 or newer" : "Install an NVIDIA driver of version 580 or newer";
}

Failure cudaFailure(cudaError_t code, const char* call) {
  cudaGetLastError();
  const auto made = [&](pmla_status status, const char* fix) {
    Failure failure = makeFailure(status, fix, "%.*s: %s: %s", nameLength(call), call, cudaGetErrorName(code),
                                  cudaGetErrorString(code));
    failure.nativeCode = code;
    return failure;
  };
  switch (code) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorDeviceUninitialized:
    case cudaErrorContextIsDestroyed:
      return made(PMLA_DEVICE_LOST, "Start the process again; compute-sanitizer finds invalid accesses");
    case cudaErrorMemoryAllocation:
      return made(PMLA_OUT_OF_MEMORY, "Free memory, or use a smaller cache or batch");
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
      return made(PMLA_DRIVER_TOO_OLD, newerDriver());
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
      return made(PMLA_NO_DEVICE, "Run nvidia-smi to see the devices, and check CUDA_VISIBLE_DEVICES");
    case cudaErrorDevicesUnavailable:
    case cudaErrorSystemNotReady:
      return made(PMLA_DEVICE_UNAVAILABLE, "Run nvidia-smi to see which process uses the device");
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureMerge:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorCapturedEvent:
    case cudaErrorStreamCaptureWrongThread:
      return made(PMLA_CAPTURE_ILLEGAL, "Call it before the capture or after it");
    default:
      return made(PMLA_INTERNAL, "Please report it");
  }
}

}  // namespace polymla
