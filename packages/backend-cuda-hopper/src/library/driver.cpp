#include "driver.h"

#include <cuda_runtime.h>

#include "cuda-failure.h"

namespace polymla {
namespace {

template <class Function>
void find(Function& function, const char* name) {
  constexpr unsigned version = 12000;
  cudaDriverEntryPointQueryResult found;
  void* entry = nullptr;
  POLYMLA_REQUIRE(cudaGetDriverEntryPointByVersion(name, &entry, version, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess) {
    throw makeFailure(PMLA_DRIVER_TOO_OLD, newerDriver(), "the NVIDIA driver has no %s of CUDA 12.0", name);
  }
  function = reinterpret_cast<Function>(entry);
}

}  // namespace

const Driver& driver() {
  static const Driver calls = [] {
    Driver found;
    find(found.retainContext, "cuDevicePrimaryCtxRetain");
    find(found.pushContext, "cuCtxPushCurrent");
    find(found.popContext, "cuCtxPopCurrent");
    return found;
  }();
  return calls;
}

void requireDriver(CUresult code, const char* call) {
  // The runtime's numbers are the driver's.
  requireCuda(static_cast<cudaError_t>(code), call);
}

}  // namespace polymla
