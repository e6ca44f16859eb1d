#pragma once

// Kernels that are launched as DeviceKernel launches them may begin before the one ahead of them in the stream has ended.

namespace polymla::ptx {

/**
 * Until all that is ahead of this kernel in its stream has ended and can be seen. By every thread, before it reads or writes
 * what others might still write or read; and by some thread of every kernel, or the next one's wait would say nothing of
 * those before this one.
 */
__device__ __forceinline__ void awaitEarlierKernels() {
#ifdef __CUDA_ARCH__
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/** Lets the next kernel begin, where there is room for it, once all CTAs have called this or ended. It awaits their end by itself. */
__device__ __forceinline__ void allowNextKernel() {
#ifdef __CUDA_ARCH__
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace polymla::ptx
