#pragma once
// What kernels may use of a dialect of CUDA. The build names one with PMLA_DIALECT_…; nothing is guessed from a compiler's
// macros, since several of them pose as nvcc.
//
//   PMLA_KERNEL(threads)   a kernel, launched in blocks of `threads`; one dimension, by launchKernel of launch.h
//   PMLA_KERNEL_HELD(threads, blocks)   the same, with no more registers than let so many blocks share a multiprocessor of CUDA
//   PMLA_PARAM             before a parameter of a kernel that is a struct
//   PMLA_DEVICE            a function that kernels call; PMLA_BOTH: the host, too
//   threadIndex() blockThreads() blockIndex() blockCount()
//   again(v)               the same, but what follows from it is computed anew and not kept in registers from one use to the next
//   syncBlock()            reached by all threads of a block
//   shuffleXor(v, step)    the value of lane ^ step; reached by all threads of a block at a time, see below
//   sharedMemory()         what the launch asked for; there is no other shared memory
//   sharedAddress(p)       where in it p points, for units that take a number; of MUSA and the emulated devices alone
//   e4m3OfFloats(l, h)     two codes, where PMLA_HAS_E4M3
//   powerOf2(v)            about 2^v
//   copy16(to, from, …)    16 bytes to shared memory, there after waitCopies and syncBlock; commitCopies ends a group
//
// Widths. A group is 32 neighbouring threads, whatever the hardware: shuffles stay within it, so results are the same on
// waves of 32, 64 and 128. There are no masks, no votes, and nothing is known of the order in which threads run between
// two barriers. Whether a shuffle is reached does not depend on the thread: where hardware waves are wider than a group,
// the groups of a wave execute it together.

#if defined(PMLA_DIALECT_GIVEN)
#include "marks.h"
#elif defined(PMLA_DIALECT_EMULATED)
#include "emulated.h"
#elif defined(PMLA_DIALECT_CUDA) || defined(PMLA_DIALECT_HIP) || defined(PMLA_DIALECT_MUSA) || \
    defined(PMLA_DIALECT_MACA) || defined(PMLA_DIALECT_COREX)
#include "cuda-like.h"
#else
#error "name a dialect: PMLA_DIALECT_CUDA, _HIP, _MUSA, _MACA, _COREX or _EMULATED"
#endif

namespace polymla {

/** Threads among which shuffles go. */
constexpr int groupLanes = 32;

} // namespace polymla
