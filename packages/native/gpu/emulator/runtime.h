#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#include "threads.h"

// The runtime of the emulated devices, by CUDA's names. Streams are threads, and launches share the processors.

enum emuError_t : int {
  emuSuccess = 0,
  emuErrorInvalidValue = 1,
  emuErrorMemoryAllocation = 2,
  emuErrorInsufficientDriver = 35,
  emuErrorNoDevice = 100,
  emuErrorInvalidDevice = 101,
  emuErrorNotReady = 600,
  emuErrorIllegalAddress = 700,
  emuErrorAssert = 710,
  emuErrorLaunchFailure = 719,
  emuErrorStreamCaptureUnsupported = 900,
  emuErrorStreamCaptureInvalidated = 901,
  emuErrorStreamCaptureMerge = 902,
  emuErrorStreamCaptureUnmatched = 903,
  emuErrorStreamCaptureUnjoined = 904,
  emuErrorStreamCaptureIsolation = 905,
  emuErrorStreamCaptureImplicit = 906,
  emuErrorStreamCaptureWrongThread = 908,
};
enum emuMemcpyKind { emuMemcpyHostToDevice = 1, emuMemcpyDeviceToHost = 2, emuMemcpyDeviceToDevice = 3 };
enum emuStreamCaptureMode { emuStreamCaptureModeRelaxed = 2 };
constexpr unsigned emuStreamNonBlocking = 1;
constexpr unsigned emuEventDisableTiming = 2;

using emuStream_t = struct emuStream *;
using emuEvent_t = struct emuEvent *;
using emuGraph_t = struct emuGraph *;
using emuGraphExec_t = struct emuGraph *;

struct emuDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  size_t sharedMemPerBlock;
  int warpSize;
  int multiProcessorCount;
  int major;
  int minor;
};

emuError_t emuGetDeviceCount(int *count);
emuError_t emuDriverGetVersion(int *version);
emuError_t emuGetDevice(int *ordinal);
emuError_t emuSetDevice(int ordinal);
emuError_t emuGetDeviceProperties(emuDeviceProp *properties, int ordinal);
emuError_t emuDeviceSynchronize();
emuError_t emuGetLastError();
const char *emuGetErrorName(emuError_t code);
/** Of a failed launch: what was wrong with the kernel. */
const char *emuGetErrorString(emuError_t code);

emuError_t emuMemGetInfo(size_t *available, size_t *total);
emuError_t emuMalloc(void **memory, size_t bytes);
emuError_t emuFree(void *memory);
emuError_t emuMallocHost(void **memory, size_t bytes);
emuError_t emuFreeHost(void *memory);

emuError_t emuStreamCreateWithFlags(emuStream_t *stream, unsigned flags);
emuError_t emuStreamDestroy(emuStream_t stream);
emuError_t emuStreamSynchronize(emuStream_t stream);
emuError_t emuStreamWaitEvent(emuStream_t stream, emuEvent_t event, unsigned flags);
emuError_t emuMemcpyAsync(void *to, const void *from, size_t bytes, emuMemcpyKind kind, emuStream_t stream);
emuError_t emuMemsetAsync(void *to, int value, size_t bytes, emuStream_t stream);
emuError_t emuLaunchHostFunc(emuStream_t stream, void (*call)(void *), void *data);

emuError_t emuEventCreate(emuEvent_t *event);
emuError_t emuEventCreateWithFlags(emuEvent_t *event, unsigned flags);
emuError_t emuEventDestroy(emuEvent_t event);
emuError_t emuEventRecord(emuEvent_t event, emuStream_t stream);
emuError_t emuEventQuery(emuEvent_t event);
emuError_t emuEventElapsedTime(float *milliseconds, emuEvent_t earlier, emuEvent_t later);

emuError_t emuStreamBeginCapture(emuStream_t stream, emuStreamCaptureMode mode);
emuError_t emuStreamEndCapture(emuStream_t stream, emuGraph_t *graph);
emuError_t emuGraphInstantiateWithFlags(emuGraphExec_t *made, emuGraph_t graph, unsigned long long flags);
emuError_t emuGraphDestroy(emuGraph_t graph);
emuError_t emuGraphExecDestroy(emuGraphExec_t graph);
emuError_t emuGraphLaunch(emuGraphExec_t graph, emuStream_t stream);

namespace polymla::emulator {

/** Forgets the failure of a device, which sticks otherwise. For tests. */
void heal(int device);

/** Enqueues a kernel, called once per thread. */
emuError_t launch(emuStream_t stream, const Launch &launch, std::function<void()> kernel);

} // namespace polymla::emulator
