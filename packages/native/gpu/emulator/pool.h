#pragma once
#include <functional>

namespace polymla::emulator {

/** Calls `run` once for every block, on all processors. Calls from several threads share them. */
void forEachBlock(unsigned blocks, const std::function<void(unsigned)> &run);

} // namespace polymla::emulator
