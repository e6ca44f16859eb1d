// What the Hopper library is beside its plans.
#include "gpu/library/own.h"

namespace polymla {

const int32_t own::score = 200;

void own::judge(Described& device, const rt::DeviceProperties& properties) {
  device.arch = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
  if (properties.major == 9 && properties.minor == 0) return;
  refuse(device,
         "compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor) +
             ", and the kernels are for 9.0 (Hopper)",
         "Build or install the portable kernels: the README of @polymla/backend-vendor says how");
}

void own::readOption(DeviceTraits&, const char* key, const char*) {
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "options: expected none, found '%.60s'", key);
}

void own::prepare(const DeviceTraits&) {}

}  // namespace polymla
