#include "failure-of.h"

#include <cstring>
#include <string>

namespace polymla {
namespace {

/** `PMLA_RT(EventRecord)(…)` as `cudaEventRecord`; any other name stays as it is. */
std::string nameOf(const char *call) {
  constexpr char paste[] = "PMLA_RT(";
  if (std::strncmp(call, paste, sizeof paste - 1) != 0) return std::string(call, std::strcspn(call, "("));
  const char *const name = call + sizeof paste - 1;
  return rt::words.prefix + std::string(name, std::strcspn(name, ")"));
}

#if defined(PMLA_DIALECT_CUDA)
constexpr char lostFix[] = "Start the process again; compute-sanitizer finds invalid accesses";
#else
constexpr char lostFix[] = "Start the process again";
#endif

} // namespace

Failure failureOf(rt::Error code, const char *call) {
  static_cast<void>(PMLA_RT(GetLastError)());
  const auto made = [&](pmla_status status, const char *fix) {
    Failure failure = makeFailure(status, fix, "%s: %s: %s", nameOf(call).c_str(), PMLA_RT(GetErrorName)(code),
                                  PMLA_RT(GetErrorString)(code));
    failure.nativeCode = static_cast<int64_t>(code);
    return failure;
  };
  switch (code) {
  case PMLA_RT(ErrorIllegalAddress):
  case PMLA_RT(ErrorAssert):
  case PMLA_RT(ErrorLaunchFailure):
#if defined(PMLA_DIALECT_CUDA)
  case cudaErrorLaunchTimeout:
  case cudaErrorHardwareStackError:
  case cudaErrorIllegalInstruction:
  case cudaErrorMisalignedAddress:
  case cudaErrorInvalidAddressSpace:
  case cudaErrorInvalidPc:
  case cudaErrorECCUncorrectable:
  case cudaErrorNvlinkUncorrectable:
  case cudaErrorContained:
  case cudaErrorDeviceUninitialized:
  case cudaErrorContextIsDestroyed:
#endif
    return made(PMLA_DEVICE_LOST, lostFix);
  case PMLA_RT(ErrorMemoryAllocation):
    return made(PMLA_OUT_OF_MEMORY, "Free memory, or use a smaller cache or batch");
  case PMLA_RT(ErrorInsufficientDriver):
#if defined(PMLA_DIALECT_CUDA)
  case cudaErrorSystemDriverMismatch:
#endif
    return made(PMLA_DRIVER_TOO_OLD, rt::words.newer);
#if defined(PMLA_DIALECT_CUDA)
  case cudaErrorDevicesUnavailable:
  case cudaErrorSystemNotReady:
    return made(PMLA_DEVICE_UNAVAILABLE, "Run nvidia-smi to see which process uses the device");
#endif
  case PMLA_RT(ErrorNoDevice):
  case PMLA_RT(ErrorInvalidDevice):
    return made(PMLA_NO_DEVICE, rt::words.look);
  case PMLA_RT(ErrorStreamCaptureUnsupported):
  case PMLA_RT(ErrorStreamCaptureInvalidated):
  case PMLA_RT(ErrorStreamCaptureMerge):
  case PMLA_RT(ErrorStreamCaptureUnmatched):
  case PMLA_RT(ErrorStreamCaptureUnjoined):
  case PMLA_RT(ErrorStreamCaptureIsolation):
  case PMLA_RT(ErrorStreamCaptureImplicit):
  case PMLA_RT(ErrorStreamCaptureWrongThread):
#if defined(PMLA_DIALECT_CUDA)
  case cudaErrorCapturedEvent:
#endif
    return made(PMLA_CAPTURE_ILLEGAL, "Call it before the capture or after it");
  default:
    return made(PMLA_INTERNAL, "Please report it");
  }
}

Failure noDevices(rt::Error code, int driverVersion) {
  Failure failure;
  // A driver that is not there counts as one that is too old, too.
  if (code == PMLA_RT(ErrorInsufficientDriver) && driverVersion != 0) {
#if defined(PMLA_DIALECT_CUDA)
    failure = makeFailure(PMLA_DRIVER_TOO_OLD, rt::words.newer, "the NVIDIA driver is for CUDA %d.%d, and CUDA %d.0 is needed",
                          driverVersion / 1000, driverVersion % 1000 / 10, rt::cudaMajor);
#else
    failure = makeFailure(PMLA_DRIVER_TOO_OLD, rt::words.newer, "the %s is older than this library's %s runtime", rt::words.driver,
                          rt::words.runtime);
#endif
  } else if (code == PMLA_RT(ErrorInsufficientDriver)) {
#if defined(PMLA_DIALECT_CUDA)
    constexpr const char *fix = rt::words.newer;
#else
    constexpr const char *fix = "Install the driver of the device";
#endif
    failure = makeFailure(PMLA_NO_DEVICE, fix, "there is no %s", rt::words.driver);
  } else if (code == PMLA_RT(ErrorNoDevice)) {
    failure = makeFailure(PMLA_NO_DEVICE, rt::words.look, "the %s runtime finds no device", rt::words.runtime);
  } else {
    return failureOf(code, "PMLA_RT(GetDeviceCount)");
  }
  static_cast<void>(PMLA_RT(GetLastError)());
  failure.nativeCode = static_cast<int64_t>(code);
  return failure;
}

} // namespace polymla
