#pragma once

#include "handles.h"

namespace polymla::cpu {

/** The end of every call that enqueues: to the stream, or into the graph that it captures. Throws
 * std::bad_alloc. */
void enqueue(StreamHandle &stream, Launch launch);

} // namespace polymla::cpu
