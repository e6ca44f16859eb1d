#pragma once
// The host's side of a dialect: its runtime, whose names are CUDA's with another prefix, and what is not.

#if defined(PMLA_DIALECT_HIP)
#include <hip/hip_runtime.h>
#define PMLA_RT(name) hip##name
#elif defined(PMLA_DIALECT_MUSA)
#include <musa_runtime.h>
#define PMLA_RT(name) musa##name
#elif defined(PMLA_DIALECT_MACA)
#include <mcr/mc_runtime.h>
#define PMLA_RT(name) mc##name
#elif defined(PMLA_DIALECT_CUDA) || defined(PMLA_DIALECT_COREX)
#include <cuda_runtime.h>
#define PMLA_RT(name) cuda##name
#elif defined(PMLA_DIALECT_EMULATED)
#include "../emulator/runtime.h"
#define PMLA_RT(name) emu##name
#else
#error "name a dialect: PMLA_DIALECT_CUDA, _HIP, _MUSA, _MACA, _COREX or _EMULATED"
#endif

// Memory pools give memory back without waiting for the device; elsewhere, freeing may wait.
#if defined(PMLA_DIALECT_CUDA) || defined(PMLA_DIALECT_HIP)
#define PMLA_RT_HAS_POOLS 1
#endif

namespace polymla::rt {

using Error = PMLA_RT(Error_t);
using Stream = PMLA_RT(Stream_t);
using Event = PMLA_RT(Event_t);
using Graph = PMLA_RT(Graph_t);
using GraphExec = PMLA_RT(GraphExec_t);

#if defined(PMLA_DIALECT_HIP)
using DeviceProperties = hipDeviceProp_t;
inline Error allocateHost(void **memory, size_t bytes) { return hipHostMalloc(memory, bytes, hipHostMallocPortable); }
inline void freeHost(void *memory) { static_cast<void>(hipHostFree(memory)); }
#elif defined(PMLA_DIALECT_MACA)
using DeviceProperties = mcDeviceProp_t;
inline Error allocateHost(void **memory, size_t bytes) { return mcMallocHost(memory, bytes, 0); }
inline void freeHost(void *memory) { mcFreeHost(memory); }
#elif defined(PMLA_DIALECT_CUDA)
using DeviceProperties = cudaDeviceProp;
inline Error allocateHost(void **memory, size_t bytes) { return cudaHostAlloc(memory, bytes, cudaHostAllocPortable); }
inline void freeHost(void *memory) { static_cast<void>(cudaFreeHost(memory)); }
#else
using DeviceProperties = PMLA_RT(DeviceProp);
inline Error allocateHost(void **memory, size_t bytes) { return PMLA_RT(MallocHost)(memory, bytes); }
inline void freeHost(void *memory) { PMLA_RT(FreeHost)(memory); }
#endif

/** Calls `call(data)` on a thread of the runtime, in the order of the stream; it calls nothing of the runtime. */
#if defined(PMLA_DIALECT_HIP)
// hipLaunchHostFunc is declared before it is there.
inline Error callOnHost(Stream stream, void (*call)(void *), void *data) {
  struct Call {
    void (*call)(void *);
    void *data;
  };
  auto *const made = new Call{call, data};
  const auto run = [](hipStream_t, hipError_t, void *given) {
    const Call got = *static_cast<Call *>(given);
    delete static_cast<Call *>(given);
    got.call(got.data);
  };
  const Error code = hipStreamAddCallback(stream, run, made, 0);
  if (code != hipSuccess) delete made;
  return code;
}
#else
inline Error callOnHost(Stream stream, void (*call)(void *), void *data) { return PMLA_RT(LaunchHostFunc)(stream, call, data); }
#endif

/** Words for messages: a device's maker, its runtime, and how to see what is there. */
struct Words {
  const char *name;    ///< of a library for all of the vendor's devices
  const char *prefix;  ///< of the runtime's functions
  const char *runtime;
  const char *driver;
  const char *look;    ///< what to do where no device is found
  const char *newer;   ///< what to do where the driver is too old
};
#if defined(PMLA_DIALECT_HIP)
constexpr Words words{"hip", "hip", "HIP", "amdgpu kernel driver", "Run rocminfo to see the devices, and check HIP_VISIBLE_DEVICES", "Install a newer driver"};
#elif defined(PMLA_DIALECT_MUSA)
constexpr Words words{"musa", "musa", "MUSA", "MUSA driver", "Run mthreads-gmi to see the devices, and check MUSA_VISIBLE_DEVICES", "Install a newer driver"};
#elif defined(PMLA_DIALECT_MACA)
constexpr Words words{"metax", "mc", "MACA", "MetaX driver", "Run mx-smi to see the devices, and check MACA_VISIBLE_DEVICES", "Install a newer driver"};
#elif defined(PMLA_DIALECT_COREX)
constexpr Words words{"corex", "cuda", "CoreX", "CoreX driver", "Run ixsmi to see the devices, and check CUDA_VISIBLE_DEVICES", "Install a newer driver"};
#elif defined(PMLA_DIALECT_CUDA)
constexpr int cudaMajor = CUDART_VERSION / 1000;
static_assert(cudaMajor == 12 || cudaMajor == 13, "the driver that this CUDA needs");
constexpr const char *newerNvidiaDriver =
    cudaMajor == 12 ? "Install an NVIDIA driver of version 525 or newer" : "Install an NVIDIA driver of version 580 or newer";
constexpr Words words{"cuda", "cuda", "CUDA", "NVIDIA driver (libcuda.so.1)", "Run nvidia-smi to see the devices, and check CUDA_VISIBLE_DEVICES",
                      newerNvidiaDriver};
#else
constexpr Words words{"emu", "emu", "emulated", "emulator", "Use device 0, 1 or 2", "Install a newer driver"};
#endif

} // namespace polymla::rt
