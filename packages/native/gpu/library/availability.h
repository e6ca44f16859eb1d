#pragma once
#include <string>

#include "device.h"

namespace polymla {

/** A device as its runtime describes it, and why it cannot be used: status PMLA_OK when it can. */
struct Described {
  DeviceTraits traits;
  std::string name;
  std::string arch;
  uint64_t memoryBytes = 0;
  pmla_status status = PMLA_OK;
  std::string reason;
  const char *fix = "";
};

/** Says why a device cannot be used, unless that is said already. */
void refuse(Described &device, const std::string &reason, const char *fix);

/** Number of devices. Throws Failure that says why there are none. */
int deviceCount();

/** Throws Failure. */
Described describeDevice(int ordinal);

#if defined(PMLA_DIALECT_CUDA)
/** Refuses a device whose compute mode (cudaComputeMode…) lets nobody use it. */
void judgeMode(Described &device, int mode);
#endif

} // namespace polymla
