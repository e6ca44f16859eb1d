#pragma once
// How a dialect marks what kernels are made of. Headers of these alone may be compiled by any C++ compiler.

#include "runtime.h"

#if defined(PMLA_DIALECT_GIVEN)
// By whoever includes this: a dialect of his own.
#elif defined(PMLA_DIALECT_EMULATED)
#define PMLA_KERNEL(threads) void
#define PMLA_KERNEL_HELD(threads, blocks) void
#define PMLA_DEVICE inline
#define PMLA_BOTH inline
#define PMLA_UNROLL // the compiler knows better
#define PMLA_PARAM const
#else
#define PMLA_KERNEL(threads) __global__ void __launch_bounds__(threads, 1)
#define PMLA_DEVICE __device__ __forceinline__
#define PMLA_BOTH __host__ __device__ __forceinline__
#define PMLA_UNROLL _Pragma("unroll")
#if defined(PMLA_DIALECT_CUDA)
#define PMLA_KERNEL_HELD(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define PMLA_PARAM const __grid_constant__ // so that it is not copied where its address is taken
#else
#define PMLA_KERNEL_HELD(threads, blocks) PMLA_KERNEL(threads) // the second number means something else, or nothing
#define PMLA_PARAM const
#endif
#endif
