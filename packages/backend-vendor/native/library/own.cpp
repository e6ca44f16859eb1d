// What the portable library is beside its plans.
#include "gpu/library/own.h"

#include <cstdlib>
#include <cstring>

#include "../kernels/launch-attend.h"

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
  // Code for 8.0 runs on 8.x, and so on; code for 9.0a on 9.0 alone.
  const std::string compiled = "," PMLA_ARCHS ",";
  const size_t dot = arch.find('.');
  const std::string major = arch.substr(0, dot), minor = arch.substr(dot + 1);
  const auto has = [&](const std::string &code) { return compiled.find("," + code + ",") != std::string::npos; };
  if (has(major + minor + "a")) return true;
  for (int older = std::stoi(minor); older >= 0; older--) {
    if (has(major + std::to_string(older))) return true;
  }
  return false;
#elif defined(PMLA_ARCHS)
  return std::string("," PMLA_ARCHS ",").find("," + arch + ",") != std::string::npos;
#else
  return true;
#endif
}

} // namespace

// Below libraries that are made for one architecture. An emulated device is never the best.
#if defined(PMLA_DIALECT_EMULATED)
const int32_t own::score = 0;
#else
const int32_t own::score = 150;
#endif

void own::judge(Described &device, const rt::DeviceProperties &properties) {
  device.arch = archOf(properties);
#if defined(PMLA_DIALECT_CUDA)
  if (properties.major < 8) {
    refuse(device, "compute capability " + device.arch + ", and the kernels are for 8.0 and newer", "Use another device");
  }
#endif
  const DeviceTraits &traits = device.traits;
  if (traits.wave % 32 != 0) {
    refuse(device, "its waves are " + std::to_string(traits.wave) + " threads wide, and the kernels take multiples of 32",
           "Use another device");
  }
  if (traits.sharedMost < AttendKernel::least(Compute::Bf16)) {
    refuse(device, "a block may have " + std::to_string(traits.sharedMost) + " bytes of shared memory, and the kernels need " +
                       std::to_string(AttendKernel::least(Compute::Bf16)),
           "Use another device");
  }
  if (!isCompiledFor(device.arch)) {
    refuse(device, "its architecture is " + device.arch + ", and this library was compiled for others", "Build the library for this architecture");
  }
#if defined(PMLA_DIALECT_CUDA)
  device.arch = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
#endif
}

/** `shared`: bytes of shared memory that blocks get at most, so that kernels for smaller devices can be tried. */
void own::readOption(DeviceTraits &traits, const char *key, const char *value) {
  if (std::strcmp(key, "shared") != 0) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "options: expected shared, found '%.60s'", key);
  }
  char *end;
  const long long bytes = std::strtoll(value, &end, 10);
  if (end == value || *end != '\0' || bytes < AttendKernel::least(Compute::Bf16) || bytes > traits.sharedMost) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "option shared: expected %d to %d, found '%.60s'", AttendKernel::least(Compute::Bf16),
                      traits.sharedMost, value);
  }
  traits.sharedMost = static_cast<int>(bytes);
}

void own::prepare(const DeviceTraits &traits) { prepareAttend(traits.sharedMost); }

} // namespace polymla
