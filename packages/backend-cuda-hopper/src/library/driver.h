#pragma once
#include <cuda.h>

namespace polymla {

/** Calls of the CUDA driver that the runtime lacks, looked up by name: the library must load where no libcuda exists. */
struct Driver {
  decltype(&cuDevicePrimaryCtxRetain) retainContext;
  decltype(&cuCtxPushCurrent) pushContext;
  decltype(&cuCtxPopCurrent) popContext;
};

/** Throws Failure where there is no driver. */
const Driver& driver();

/** Throws Failure unless a call of the driver succeeded. */
void requireDriver(CUresult code, const char* call);

}  // namespace polymla
