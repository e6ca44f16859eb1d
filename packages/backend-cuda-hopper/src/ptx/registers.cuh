#pragma once

namespace polymla::ptx {

/** Changes what each thread of this warpgroup may hold to `Count` registers, waiting for others to give theirs back. */
template <int Count>
__device__ __forceinline__ void takeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count>
__device__ __forceinline__ void giveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}

}  // namespace polymla::ptx
