#pragma once
#include <cstddef>

namespace polymla {

/**
 * Most bytes of a kernel's parameters. With more of them, every fourth launch of a process begins 0.45 to 0.9 µs later on the
 * device, whatever the kernel, stream or attributes (measured: H200, driver 580; see NOTES.md).
 */
constexpr size_t mostParamBytes = 144;

template <class... Params>
constexpr bool fitsParams = (sizeof(Params) + ... + 0) <= mostParamBytes;

}  // namespace polymla
