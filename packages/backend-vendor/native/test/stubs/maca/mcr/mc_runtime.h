#pragma once
// MetaX's runtime as far as the portable kernels use it, on top of CUDA's: it lets another compiler check the dialect. It
// is no part of MetaX's toolkit and none of its text.
#include <cuda_runtime.h>

#define mcDeviceProp_t cudaDeviceProp
#define mcDeviceSynchronize cudaDeviceSynchronize
#define mcDriverGetVersion cudaDriverGetVersion
#define mcErrorAssert cudaErrorAssert
#define mcErrorIllegalAddress cudaErrorIllegalAddress
#define mcErrorInsufficientDriver cudaErrorInsufficientDriver
#define mcErrorInvalidDevice cudaErrorInvalidDevice
#define mcErrorLaunchFailure cudaErrorLaunchFailure
#define mcErrorMemoryAllocation cudaErrorMemoryAllocation
#define mcErrorNoDevice cudaErrorNoDevice
#define mcErrorNotReady cudaErrorNotReady
#define mcErrorStreamCaptureImplicit cudaErrorStreamCaptureImplicit
#define mcErrorStreamCaptureInvalidated cudaErrorStreamCaptureInvalidated
#define mcErrorStreamCaptureIsolation cudaErrorStreamCaptureIsolation
#define mcErrorStreamCaptureMerge cudaErrorStreamCaptureMerge
#define mcErrorStreamCaptureUnjoined cudaErrorStreamCaptureUnjoined
#define mcErrorStreamCaptureUnmatched cudaErrorStreamCaptureUnmatched
#define mcErrorStreamCaptureUnsupported cudaErrorStreamCaptureUnsupported
#define mcErrorStreamCaptureWrongThread cudaErrorStreamCaptureWrongThread
#define mcError_t cudaError_t
#define mcEventCreate cudaEventCreate
#define mcEventCreateWithFlags cudaEventCreateWithFlags
#define mcEventDestroy cudaEventDestroy
#define mcEventDisableTiming cudaEventDisableTiming
#define mcEventElapsedTime cudaEventElapsedTime
#define mcEventQuery cudaEventQuery
#define mcEventRecord cudaEventRecord
#define mcEvent_t cudaEvent_t
#define mcFree cudaFree
#define mcFreeHost cudaFreeHost
#define mcFuncAttributeMaxDynamicSharedMemorySize cudaFuncAttributeMaxDynamicSharedMemorySize
#define mcFuncSetAttribute cudaFuncSetAttribute
#define mcGetDevice cudaGetDevice
#define mcGetDeviceCount cudaGetDeviceCount
#define mcGetDeviceProperties cudaGetDeviceProperties
#define mcGetErrorName cudaGetErrorName
#define mcGetErrorString cudaGetErrorString
#define mcGetLastError cudaGetLastError
#define mcGraphDestroy cudaGraphDestroy
#define mcGraphExecDestroy cudaGraphExecDestroy
#define mcGraphExec_t cudaGraphExec_t
#define mcGraphInstantiateWithFlags cudaGraphInstantiateWithFlags
#define mcGraphLaunch cudaGraphLaunch
#define mcGraph_t cudaGraph_t
#define mcLaunchHostFunc cudaLaunchHostFunc
#define mcMalloc cudaMalloc
#define mcMallocHost cudaMallocHost
#define mcMemGetInfo cudaMemGetInfo
#define mcMemcpyAsync cudaMemcpyAsync
#define mcMemcpyDeviceToDevice cudaMemcpyDeviceToDevice
#define mcMemcpyDeviceToHost cudaMemcpyDeviceToHost
#define mcMemcpyHostToDevice cudaMemcpyHostToDevice
#define mcMemsetAsync cudaMemsetAsync
#define mcSetDevice cudaSetDevice
#define mcStreamBeginCapture cudaStreamBeginCapture
#define mcStreamCaptureModeRelaxed cudaStreamCaptureModeRelaxed
#define mcStreamCreateWithFlags cudaStreamCreateWithFlags
#define mcStreamDestroy cudaStreamDestroy
#define mcStreamEndCapture cudaStreamEndCapture
#define mcStreamNonBlocking cudaStreamNonBlocking
#define mcStreamSynchronize cudaStreamSynchronize
#define mcStreamWaitEvent cudaStreamWaitEvent
#define mcStream_t cudaStream_t
#define mcSuccess cudaSuccess

#if defined(__MACACC__)
// mxcc's builtins.
using mcHalves = __attribute__((ext_vector_type(4))) _Float16;
using mcWords = __attribute__((ext_vector_type(2))) uint32_t;
using mcSums = __attribute__((ext_vector_type(4))) float;
__device__ mcSums __builtin_mxc_mma_16x16x16f16(mcHalves, mcHalves, mcSums);
__device__ mcSums __builtin_mxc_mma_16x16x16bf16(mcWords, mcWords, mcSums);
#endif
