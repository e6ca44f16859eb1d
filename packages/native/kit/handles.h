#pragma once

#include "failure.h"

namespace polymla {

/** What a handle of polymla_backend.h points to, for `toHandle(pointer)` and `pointed(handle)`; a library says it of each. */
#define PMLA_HANDLE(Handle, Type)                                                                                    \
  inline Handle toHandle(Type *pointer) { return reinterpret_cast<Handle>(pointer); }                                \
  inline Type *pointed(Handle handle) { return reinterpret_cast<Type *>(handle); }

// Each of these throws Failure unless a call may be made.

template <class Type> Type &requireHandle(Type *pointer, const char *name) {
  if (pointer == nullptr) throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a handle, found NULL", name);
  return *pointer;
}

/** Another handle of a call on `device`. */
template <class Device, class Type> Type &requireSameDevice(const Device &device, Type *pointer, const char *name) {
  if (&requireHandle(pointer, name).device != &device) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a handle of the same device, found one of another",
                      name);
  }
  return *pointer;
}

inline void requireNoCapture(bool captures, const char *call) {
  if (!captures) return;
  throw makeFailure(PMLA_CAPTURE_ILLEGAL, "Call it before the capture or after it", "%s: a graph cannot hold it", call);
}

} // namespace polymla
