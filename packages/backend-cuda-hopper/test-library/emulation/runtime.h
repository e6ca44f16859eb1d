#pragma once
#include <cuda_runtime.h>

#include <functional>

/**
 * A CUDA runtime without a GPU: device memory is the host's, a stream runs what is enqueued at once, or keeps it while
 * `held`. Kernels run in it as far as device.h can. One device, of compute capability 9.0.
 */
namespace polymla::emulation {

/** Enqueues work that a kernel stands for. */
void enqueue(cudaStream_t stream, std::function<void()> work);

/** Streams keep what is enqueued, and events are pending, until it is false again. */
void hold(bool held);

/** From now on all work and all queries fail so, as after a fault of a kernel; cudaSuccess heals the device. */
void fail(cudaError_t code);

/** Contexts that are current to this thread. */
int contexts();

}  // namespace polymla::emulation
