#include "device.h"
#include "failure-of.h"

#if defined(PMLA_DIALECT_CUDA)
#include <cuda.h>
#endif

namespace polymla {

#if defined(PMLA_DIALECT_CUDA)

// cudaSetDevice at the end would make a context on the former device where there is none yet: contexts are pushed and
// popped. Their functions are looked up by name, for the library must load where no libcuda exists.

namespace {

struct Driver {
  decltype(&cuDevicePrimaryCtxRetain) retain;
  decltype(&cuCtxGetCurrent) current;
  decltype(&cuCtxPushCurrent) push;
  decltype(&cuCtxPopCurrent) pop;
};

template <class Function> void find(Function &function, const char *name) {
  constexpr unsigned version = 12000;
  cudaDriverEntryPointQueryResult found;
  void *entry = nullptr;
  requireRuntime(cudaGetDriverEntryPointByVersion(name, &entry, version, cudaEnableDefault, &found), name);
  if (found != cudaDriverEntryPointSuccess) {
    throw makeFailure(PMLA_DRIVER_TOO_OLD, rt::words.newer, "the NVIDIA driver has no %s of CUDA 12.0", name);
  }
  function = reinterpret_cast<Function>(entry);
}

const Driver &driver() {
  static const Driver calls = [] {
    Driver made;
    find(made.retain, "cuDevicePrimaryCtxRetain");
    find(made.current, "cuCtxGetCurrent");
    find(made.push, "cuCtxPushCurrent");
    find(made.pop, "cuCtxPopCurrent");
    return made;
  }();
  return calls;
}

/** The runtime's numbers are the driver's. */
void requireDriver(CUresult code, const char *call) { requireRuntime(static_cast<cudaError_t>(code), call); }

} // namespace

void *contextOf(int ordinal) {
  CUcontext context = nullptr;
  // Never given back: kernels are loaded, and their attributes set, once per process.
  requireDriver(driver().retain(&context, ordinal), "cuDevicePrimaryCtxRetain");
  return context;
}

CurrentDevice::CurrentDevice(const Device &device) {
  const Driver &calls = driver();
  const auto context = static_cast<CUcontext>(device.context_);
  CUcontext before = nullptr;
  requireDriver(calls.current(&before), "cuCtxGetCurrent");
  // Mostly it is current already, and asking costs a fourth of pushing and popping.
  pushed_ = before != context;
  if (pushed_) requireDriver(calls.push(context), "cuCtxPushCurrent");
}
CurrentDevice::~CurrentDevice() {
  CUcontext popped;
  if (pushed_) driver().pop(&popped);
}

#else

void *contextOf(int) { return nullptr; }

CurrentDevice::CurrentDevice(const Device &device) {
  POLYMLA_REQUIRE(PMLA_RT(GetDevice)(&before_));
  if (before_ != device.ordinal) POLYMLA_REQUIRE(PMLA_RT(SetDevice)(device.ordinal));
}
CurrentDevice::~CurrentDevice() { static_cast<void>(PMLA_RT(SetDevice)(before_)); }

#endif

} // namespace polymla
