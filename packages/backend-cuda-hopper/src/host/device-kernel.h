#pragma once
#include <cuda.h>

#include <array>
#include <atomic>

#include "cuda-check.h"
#include "early-launch.h"
#include "launch-params.h"

namespace polymla {

/** How a kernel is launched. */
struct LaunchShape {
  dim3 grid;
  unsigned threads;
  bool cooperative;      ///< all of it is resident, or the launch fails
  unsigned clusterRows;  ///< CTAs of a cluster, which follow one another in grid.y; 0: no clusters, whose CTAs are placed otherwise
};

/**
 * A kernel and the shared memory that it takes, prepared on each device when it is first launched there. Launches by the
 * driver's call, which costs the host a microsecond less than the runtime's.
 */
template <class... Params>
class DeviceKernel {
  static_assert(fitsParams<Params...>);

 public:
  DeviceKernel(void (*kernel)(Params...), size_t sharedBytes) : kernel(kernel), sharedBytes(sharedBytes) {}

  /** Enqueues the kernel on the current device. Throws CudaError. */
  void launch(const LaunchShape& shape, cudaStream_t stream, const Params&... params) {
    CUlaunchAttribute attributes[3]{};
    unsigned count = 0;
    // It may begin while the kernel ahead of it ends (ptx/dependent-launch.cuh). In streams, cooperative ones do not.
    if (launchesEarly()) {
      attributes[count].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
      attributes[count++].value.programmaticStreamSerializationAllowed = 1;
    }
    if (shape.cooperative) {
      attributes[count].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
      attributes[count++].value.cooperative = 1;
    }
    if (shape.clusterRows > 0) {
      attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
      attributes[count++].value.clusterDim = {1, shape.clusterRows, 1};
    }
    CUlaunchConfig config{};
    config.gridDimX = shape.grid.x;
    config.gridDimY = shape.grid.y;
    config.gridDimZ = shape.grid.z;
    config.blockDimX = shape.threads;
    config.blockDimY = config.blockDimZ = 1;
    config.sharedMemBytes = static_cast<unsigned>(sharedBytes);
    config.hStream = stream;
    config.attrs = attributes;
    config.numAttrs = count;
    const void* pointers[] = {&params...};
    // The runtime's numbers are the driver's.
    static const auto launchKernel = driverCall<decltype(&cuLaunchKernelEx)>("cuLaunchKernelEx");
    check(static_cast<cudaError_t>(launchKernel(&config, onDevice(), const_cast<void**>(pointers), nullptr)), "cuLaunchKernelEx");
  }

 private:
  static constexpr int mostDevices = 64;

  template <class Call>
  static Call driverCall(const char* name) {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found;
    POLYMLA_CUDA(cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found));
    if (found != cudaDriverEntryPointSuccess) throw CudaError(cudaErrorInsufficientDriver, name);
    return reinterpret_cast<Call>(entry);
  }

  /** cudaGetDevice, which takes four times as long as asking for the context: mostly that is the last launch's. */
  static int currentDevice() {
    static const auto currentContext = driverCall<decltype(&cuCtxGetCurrent)>("cuCtxGetCurrent");
    thread_local CUcontext last = nullptr;
    thread_local int device = 0;
    CUcontext context = nullptr;
    check(static_cast<cudaError_t>(currentContext(&context)), "cuCtxGetCurrent");
    if (context == nullptr || context != last) {
      // Without a context, the runtime makes that of the device which it reports.
      POLYMLA_CUDA(cudaGetDevice(&device));
      last = context;
    }
    return device;
  }

  CUfunction onDevice() {
    const int device = currentDevice();
    if (device >= mostDevices) throw CudaError(cudaErrorInvalidDevice, "cudaGetDevice");
    CUfunction function = functions[device].load(std::memory_order_acquire);
    if (function != nullptr) return function;
    POLYMLA_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(sharedBytes)));
    POLYMLA_CUDA(cudaGetFuncBySymbol(&function, reinterpret_cast<const void*>(kernel)));
    functions[device].store(function, std::memory_order_release);
    return function;
  }

  void (*const kernel)(Params...);
  const size_t sharedBytes;
  std::array<std::atomic<CUfunction>, mostDevices> functions{};
};

}  // namespace polymla
