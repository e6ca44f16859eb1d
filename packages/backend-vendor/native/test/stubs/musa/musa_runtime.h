#pragma once
// Moore Threads's runtime as far as the portable kernels use it, on top of CUDA's: it lets another compiler check the dialect. It
// is no part of Moore Threads's toolkit and none of its text.
#include <cuda_runtime.h>

#define musaDeviceProp cudaDeviceProp
#define musaDeviceSynchronize cudaDeviceSynchronize
#define musaDriverGetVersion cudaDriverGetVersion
#define musaErrorAssert cudaErrorAssert
#define musaErrorIllegalAddress cudaErrorIllegalAddress
#define musaErrorInsufficientDriver cudaErrorInsufficientDriver
#define musaErrorInvalidDevice cudaErrorInvalidDevice
#define musaErrorLaunchFailure cudaErrorLaunchFailure
#define musaErrorMemoryAllocation cudaErrorMemoryAllocation
#define musaErrorNoDevice cudaErrorNoDevice
#define musaErrorNotReady cudaErrorNotReady
#define musaErrorStreamCaptureImplicit cudaErrorStreamCaptureImplicit
#define musaErrorStreamCaptureInvalidated cudaErrorStreamCaptureInvalidated
#define musaErrorStreamCaptureIsolation cudaErrorStreamCaptureIsolation
#define musaErrorStreamCaptureMerge cudaErrorStreamCaptureMerge
#define musaErrorStreamCaptureUnjoined cudaErrorStreamCaptureUnjoined
#define musaErrorStreamCaptureUnmatched cudaErrorStreamCaptureUnmatched
#define musaErrorStreamCaptureUnsupported cudaErrorStreamCaptureUnsupported
#define musaErrorStreamCaptureWrongThread cudaErrorStreamCaptureWrongThread
#define musaError_t cudaError_t
#define musaEventCreate cudaEventCreate
#define musaEventCreateWithFlags cudaEventCreateWithFlags
#define musaEventDestroy cudaEventDestroy
#define musaEventDisableTiming cudaEventDisableTiming
#define musaEventElapsedTime cudaEventElapsedTime
#define musaEventQuery cudaEventQuery
#define musaEventRecord cudaEventRecord
#define musaEvent_t cudaEvent_t
#define musaFree cudaFree
#define musaFreeHost cudaFreeHost
#define musaFuncAttributeMaxDynamicSharedMemorySize cudaFuncAttributeMaxDynamicSharedMemorySize
#define musaFuncSetAttribute cudaFuncSetAttribute
#define musaGetDevice cudaGetDevice
#define musaGetDeviceCount cudaGetDeviceCount
#define musaGetDeviceProperties cudaGetDeviceProperties
#define musaGetErrorName cudaGetErrorName
#define musaGetErrorString cudaGetErrorString
#define musaGetLastError cudaGetLastError
#define musaGraphDestroy cudaGraphDestroy
#define musaGraphExecDestroy cudaGraphExecDestroy
#define musaGraphExec_t cudaGraphExec_t
#define musaGraphInstantiateWithFlags cudaGraphInstantiateWithFlags
#define musaGraphLaunch cudaGraphLaunch
#define musaGraph_t cudaGraph_t
#define musaLaunchHostFunc cudaLaunchHostFunc
#define musaMalloc cudaMalloc
#define musaMallocHost cudaMallocHost
#define musaMemGetInfo cudaMemGetInfo
#define musaMemcpyAsync cudaMemcpyAsync
#define musaMemcpyDeviceToDevice cudaMemcpyDeviceToDevice
#define musaMemcpyDeviceToHost cudaMemcpyDeviceToHost
#define musaMemcpyHostToDevice cudaMemcpyHostToDevice
#define musaMemsetAsync cudaMemsetAsync
#define musaSetDevice cudaSetDevice
#define musaStreamBeginCapture cudaStreamBeginCapture
#define musaStreamCaptureModeRelaxed cudaStreamCaptureModeRelaxed
#define musaStreamCreateWithFlags cudaStreamCreateWithFlags
#define musaStreamDestroy cudaStreamDestroy
#define musaStreamEndCapture cudaStreamEndCapture
#define musaStreamNonBlocking cudaStreamNonBlocking
#define musaStreamSynchronize cudaStreamSynchronize
#define musaStreamWaitEvent cudaStreamWaitEvent
#define musaStream_t cudaStream_t
#define musaSuccess cudaSuccess

#if defined(__MUSA_ARCH__)
// mcc's builtins.
__device__ void __musa_wmma_m16n16k16_mma(int *, const int *, const int *, const int *, int, int, int, int, int, int layout, int type);
__device__ void __musa_sqmma_m32n32_mma(int *, const int *, const int *, const int *, int, int, int, int, int, int, int k, int type);
__device__ void __musa_sqmma_m32n64_mma(int *, const int *, const int *, const int *, int, int, int, int, int, int, int k, int type);
__device__ void __musa_sqmma_m64n64_mma(int *, const int *, const int *, const int *, int, int, int, int, int, int, int k, int type);
__device__ void __musa_sqmma_wait();
__device__ unsigned long __cvta_generic_to_shared(const void *);
#endif
