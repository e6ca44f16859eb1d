// CUDA's runtime on the emulator, as far as the library uses it: one NVIDIA GPU of the compute capability that
// POLYMLA_EMULATED_CUDA names, such as 8.6. The library over it is compiled as for NVIDIA's GPUs, all but its kernels, which
// are the emulator's.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "gpu/emulator/runtime.h"

// As the emulator is compiled here: with CUDA's codes in place of its own, which have the same numbers.
const char *emuGetErrorName(cudaError_t code);
const char *emuGetErrorString(cudaError_t code);

namespace {

struct Capability {
  int major = 8, minor = 0;

  Capability() {
    const char *const given = std::getenv("POLYMLA_EMULATED_CUDA");
    if (given != nullptr) std::sscanf(given, "%d.%d", &major, &minor);
  }
  /** Shared memory that a block may have (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"). */
  size_t sharedMost() const {
    const int code = major * 10 + minor;
    const bool has99 = code == 86 || code == 89 || major == 12;
    return (code < 80 ? 64 : has99 ? 99 : major == 8 ? 163 : 227) * size_t{1024};
  }
};

cudaError_t known(emuError_t code) { return static_cast<cudaError_t>(code); }

CUresult retainContext(CUcontext *context, CUdevice) {
  static int primary;
  *context = reinterpret_cast<CUcontext>(&primary);
  return CUDA_SUCCESS;
}
CUresult currentContext(CUcontext *context) {
  *context = nullptr;
  return CUDA_SUCCESS;
}
CUresult pushContext(CUcontext) { return static_cast<CUresult>(emuSetDevice(0)); }
CUresult popContext(CUcontext *) { return CUDA_SUCCESS; }

} // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int *count) { return *count = 1, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int ordinal) {
  emuDeviceProp emulated;
  const emuError_t code = emuGetDeviceProperties(&emulated, ordinal);
  if (code != emuSuccess) return known(code);
  const Capability capability;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Emulated GPU of compute capability %d.%d", capability.major, capability.minor);
  properties->major = capability.major;
  properties->minor = capability.minor;
  properties->warpSize = emulated.warpSize;
  properties->multiProcessorCount = emulated.multiProcessorCount;
  properties->totalGlobalMem = emulated.totalGlobalMem;
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = capability.sharedMost();
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int) { return *value = cudaComputeModeDefault, cudaSuccess; }
cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **entry, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult *found) {
  const std::string wanted = name;
  *entry = wanted == "cuDevicePrimaryCtxRetain" ? reinterpret_cast<void *>(retainContext)
           : wanted == "cuCtxGetCurrent"        ? reinterpret_cast<void *>(currentContext)
           : wanted == "cuCtxPushCurrent"       ? reinterpret_cast<void *>(pushContext)
           : wanted == "cuCtxPopCurrent"        ? reinterpret_cast<void *>(popContext)
                                                : nullptr;
  *found = *entry == nullptr ? cudaDriverEntryPointSymbolNotFound : cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { return known(emuDeviceSynchronize()); }
cudaError_t cudaGetLastError() { return known(emuGetLastError()); }
const char *cudaGetErrorName(cudaError_t code) { return emuGetErrorName(code); }
const char *cudaGetErrorString(cudaError_t code) { return emuGetErrorString(code); }

// A pool holds nothing of its own.
cudaError_t cudaMemPoolCreate(cudaMemPool_t *, const cudaMemPoolProps *) { return cudaSuccess; }
cudaError_t cudaMemPoolDestroy(cudaMemPool_t) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *) { return cudaSuccess; }
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *value) {
  const cuuint64_t none = 0;
  std::memcpy(value, &none, sizeof none);
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }
cudaError_t cudaMallocFromPoolAsync(void **memory, size_t bytes, cudaMemPool_t, cudaStream_t) { return known(emuMalloc(memory, bytes)); }
cudaError_t cudaFreeAsync(void *memory, cudaStream_t) { return known(emuFree(memory)); }
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned) { return known(emuMallocHost(memory, bytes)); }
cudaError_t cudaFreeHost(void *memory) { return known(emuFreeHost(memory)); }
cudaError_t cudaMemGetInfo(size_t *available, size_t *total) { return known(emuMemGetInfo(available, total)); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) { return known(emuStreamCreateWithFlags(stream, flags)); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return known(emuStreamDestroy(stream)); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return known(emuStreamSynchronize(stream)); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) { return known(emuStreamWaitEvent(stream, event, flags)); }
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return known(emuMemcpyAsync(to, from, bytes, static_cast<emuMemcpyKind>(kind), stream));
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) { return known(emuMemsetAsync(to, value, bytes, stream)); }
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t call, void *data) { return known(emuLaunchHostFunc(stream, call, data)); }

cudaError_t cudaEventCreate(cudaEvent_t *event) { return known(emuEventCreate(event)); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) { return known(emuEventCreateWithFlags(event, flags)); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return known(emuEventDestroy(event)); }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return known(emuEventRecord(event, stream)); }
cudaError_t cudaEventQuery(cudaEvent_t event) { return known(emuEventQuery(event)); }
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t earlier, cudaEvent_t later) {
  return known(emuEventElapsedTime(milliseconds, earlier, later));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return known(emuStreamBeginCapture(stream, static_cast<emuStreamCaptureMode>(mode)));
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) { return known(emuStreamEndCapture(stream, graph)); }
// The emulator's graphs are executable as they are.
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *made, cudaGraph_t graph, unsigned long long flags) {
  return known(emuGraphInstantiateWithFlags(reinterpret_cast<emuGraphExec_t *>(made), graph, flags));
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return known(emuGraphDestroy(graph)); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return known(emuGraphExecDestroy(reinterpret_cast<emuGraphExec_t>(graph))); }
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  return known(emuGraphLaunch(reinterpret_cast<emuGraphExec_t>(graph), stream));
}

} // extern "C"
