#include "availability.h"

#include "failure-of.h"
#include "own.h"

namespace polymla {
namespace {

int sharedMostOf(const rt::DeviceProperties &properties) {
#if defined(PMLA_DIALECT_CUDA)
  return static_cast<int>(properties.sharedMemPerBlockOptin);
#else
  return static_cast<int>(properties.sharedMemPerBlock);
#endif
}

} // namespace

void refuse(Described &device, const std::string &reason, const char *fix) {
  if (device.status != PMLA_OK) return;
  device.status = PMLA_DEVICE_UNAVAILABLE;
  device.reason = reason;
  device.fix = fix;
}

#if defined(PMLA_DIALECT_CUDA)
void judgeMode(Described &device, int mode) {
  if (mode != cudaComputeModeProhibited) return;
  refuse(device, "the compute mode of the device is Prohibited", "Run nvidia-smi -c DEFAULT as root");
}
#endif

int deviceCount() {
  int count = 0;
  const rt::Error code = PMLA_RT(GetDeviceCount)(&count);
  if (code == PMLA_RT(Success)) return count;
  int version = 0;
  static_cast<void>(PMLA_RT(DriverGetVersion)(&version));
  throw noDevices(code, version);
}

Described describeDevice(int ordinal) {
  const int count = deviceCount();
  if (ordinal < 0 || ordinal >= count) {
    throw makeFailure(PMLA_NO_DEVICE, rt::words.look, "expected a device from 0 to %d, found %d", count - 1, ordinal);
  }
  rt::DeviceProperties properties;
  POLYMLA_REQUIRE(PMLA_RT(GetDeviceProperties)(&properties, ordinal));
  Described device;
  device.traits = {properties.multiProcessorCount, sharedMostOf(properties), properties.warpSize};
  device.name = properties.name;
  device.memoryBytes = properties.totalGlobalMem;
  own::judge(device, properties);
#if defined(PMLA_DIALECT_CUDA)
  int mode = 0;
  POLYMLA_REQUIRE(cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, ordinal));
  judgeMode(device, mode);
#endif
  return device;
}

} // namespace polymla
