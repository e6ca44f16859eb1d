#include "availability.h"

#include "../kernels/launch-attend.h"
#include "failure-of.h"

namespace polymla {
namespace {

std::string archOf(const rt::DeviceProperties &properties) {
#if defined(PMLA_DIALECT_HIP)
  const std::string name = properties.gcnArchName;
  return name.substr(0, name.find(':'));
#elif defined(PMLA_DIALECT_EMULATED)
  return "wave" + std::to_string(properties.warpSize);
#else
  return std::to_string(properties.major) + "." + std::to_string(properties.minor);
#endif
}

/** Whether the library was compiled for an architecture, given as `archOf` does; PMLA_ARCHS lists what it was for. */
bool isCompiledFor([[maybe_unused]] const std::string &arch) {
#if defined(PMLA_DIALECT_CUDA)
  // Code for 8.0 runs on 8.x, and so on.
  const std::string compiled = "," PMLA_ARCHS ",";
  const size_t dot = arch.find('.');
  for (int minor = std::stoi(arch.substr(dot + 1)); minor >= 0; minor--) {
    if (compiled.find("," + arch.substr(0, dot) + std::to_string(minor) + ",") != std::string::npos) return true;
  }
  return false;
#elif defined(PMLA_ARCHS)
  return std::string("," PMLA_ARCHS ",").find("," + arch + ",") != std::string::npos;
#else
  return true;
#endif
}

int sharedMostOf([[maybe_unused]] int ordinal, const rt::DeviceProperties &properties) {
#if defined(PMLA_DIALECT_CUDA)
  return static_cast<int>(properties.sharedMemPerBlockOptin);
#else
  return static_cast<int>(properties.sharedMemPerBlock);
#endif
}

void refuse(Described &device, const std::string &reason, const char *fix) {
  if (device.status != PMLA_OK) return;
  device.status = PMLA_DEVICE_UNAVAILABLE;
  device.reason = reason;
  device.fix = fix;
}

} // namespace

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
  device.traits = {properties.multiProcessorCount, sharedMostOf(ordinal, properties), properties.warpSize};
  device.name = properties.name;
  device.arch = archOf(properties);
  device.memoryBytes = properties.totalGlobalMem;

#if defined(PMLA_DIALECT_CUDA)
  if (properties.major < 8) {
    refuse(device, "compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                       ", and the kernels are for 8.0 and newer",
           "Use another device");
  }
  int mode = 0;
  POLYMLA_REQUIRE(cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, ordinal));
  if (mode == cudaComputeModeProhibited) {
    refuse(device, "the compute mode of the device is Prohibited", "Run nvidia-smi -c DEFAULT as root");
  }
#endif
  if (device.traits.wave % 32 != 0) {
    refuse(device, "its waves are " + std::to_string(device.traits.wave) + " threads wide, and the kernels take multiples of 32",
           "Use another device");
  }
  if (device.traits.sharedMost < AttendKernel::least(Compute::Bf16)) {
    refuse(device, "a block may have " + std::to_string(device.traits.sharedMost) + " bytes of shared memory, and the kernels need " +
                       std::to_string(AttendKernel::least(Compute::Bf16)),
           "Use another device");
  }
  if (!isCompiledFor(device.arch)) {
    refuse(device, "its architecture is " + device.arch + ", and this library was compiled for others", "Build the library for this architecture");
  }
#if defined(PMLA_DIALECT_CUDA)
  device.arch = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
#endif
  return device;
}

} // namespace polymla
