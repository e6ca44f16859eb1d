#pragma once
#include <memory>

#include "device.h"
#include "kit/args.h"
#include "kit/checks.h"
#include "kit/report.h"
#include "plan.h"

namespace polymla {

// What the handles of polymla_backend.h point to; a pmla_device is a Device. A handle is made before what it holds: memory may
// run out for either, and nothing may be lost by it.

struct StreamHandle {
  Device& device;
  rt::Stream stream;
  const bool owned;
  bool captures = false;
};

struct EventHandle {
  Device& device;
  rt::Event event;
  bool recorded = false;
};

struct GraphHandle {
  Device& device;
  rt::GraphExec graph;
};

struct PlanHandle {
  Device& device;
  const FitProblem fitted;
  /** For messages; lives as long as the device. */
  const char* const what;
  std::unique_ptr<Plan> plan;
};

inline pmla_device toHandle(Device* device) { return reinterpret_cast<pmla_device>(device); }
inline pmla_stream toHandle(StreamHandle* stream) { return reinterpret_cast<pmla_stream>(stream); }
inline pmla_event toHandle(EventHandle* event) { return reinterpret_cast<pmla_event>(event); }
inline pmla_graph toHandle(GraphHandle* graph) { return reinterpret_cast<pmla_graph>(graph); }
inline pmla_plan toHandle(PlanHandle* plan) { return reinterpret_cast<pmla_plan>(plan); }

inline Device* pointed(pmla_device device) { return reinterpret_cast<Device*>(device); }
inline StreamHandle* pointed(pmla_stream stream) { return reinterpret_cast<StreamHandle*>(stream); }
inline EventHandle* pointed(pmla_event event) { return reinterpret_cast<EventHandle*>(event); }
inline GraphHandle* pointed(pmla_graph graph) { return reinterpret_cast<GraphHandle*>(graph); }
inline PlanHandle* pointed(pmla_plan plan) { return reinterpret_cast<PlanHandle*>(plan); }

inline Device& deviceOf(Device& device) { return device; }
template <class Handle>
Device& deviceOf(Handle& handle) {
  return handle.device;
}

/**
 * A call of the ABI on a handle: `call(what the handle points to)`, with its device current. What it throws becomes a
 * status and fills `error`; a failure of the device sticks to it.
 */
template <class Handle, class Call>
pmla_status guardedOn(Handle handle, const char* name, pmla_error* error, Call&& call) noexcept {
  return guarded(error, [&] {
    auto* const pointer = pointed(handle);
    if (pointer == nullptr) throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a handle, found NULL", name);
    Device& device = deviceOf(*pointer);
    device.requireUsable();
    try {
      const CurrentDevice current(device);
      call(*pointer);
    } catch (const Failure& failure) {
      if (failure.status == PMLA_DEVICE_LOST) throw device.fail(failure);
      throw;
    }
  });
}

/** Another handle of such a call. Throws Failure when it is NULL or of another device. */
template <class Handle>
auto& sameDevice(const Device& device, Handle handle, const char* name) {
  auto* const pointer = pointed(handle);
  if (pointer == nullptr) throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a handle, found NULL", name);
  if (&pointer->device != &device) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a handle of the same device, found one of another", name);
  }
  return *pointer;
}

/** Frees what a handle points to: `free(it)` with its device current. What belongs to a lost device stays. */
template <class Handle, class Free>
void freeHandle(Handle handle, Free&& free) noexcept {
  auto* const pointer = pointed(handle);
  const Failure failure = attempt([&] {
    if (pointer->device.lost()) return;
    const CurrentDevice current(pointer->device);
    free(*pointer);
    delete pointer;
  });
  static_cast<void>(failure);  // nobody to tell
}

/** Throws Failure PMLA_CAPTURE_ILLEGAL while the stream captures. */
inline void requireNoCapture(const StreamHandle& stream, const char* call) {
  if (!stream.captures) return;
  throw makeFailure(PMLA_CAPTURE_ILLEGAL, "Call it before the capture or after it", "%s: a graph cannot hold it", call);
}

}  // namespace polymla
