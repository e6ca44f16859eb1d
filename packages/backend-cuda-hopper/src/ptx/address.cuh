#pragma once
#include <cstdint>

namespace polymla::ptx {

/** Shared-window address of a generic pointer into shared memory, as PTX instructions and descriptors take it. */
__device__ __forceinline__ uint32_t sharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

}  // namespace polymla::ptx
