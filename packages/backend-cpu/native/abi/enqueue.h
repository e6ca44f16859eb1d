#pragma once

#include "handles.h"

namespace polymla::cpu {

/** The end of every call that enqueues: to the stream, or into the graph that it captures. Throws
 * std::bad_alloc. */
void enqueue(StreamHandle &stream, Launch launch);

/** Throws Failure PMLA_CAPTURE_ILLEGAL while the stream captures. */
void requireNoCapture(const StreamHandle &stream, const char *call);

/** Throws Failure unless both handles are of one device. */
template <class A, class B> void requireSameDevice(const A &a, const B &b) {
  if (&a.device == &b.device) return;
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "expected handles of one device, found ones of two");
}

} // namespace polymla::cpu
