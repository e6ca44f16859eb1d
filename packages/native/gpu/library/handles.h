#pragma once
#include <memory>

#include "device.h"
#include "kit/args.h"
#include "kit/checks.h"
#include "kit/handles.h"
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

PMLA_HANDLE(pmla_device, Device)
PMLA_HANDLE(pmla_stream, StreamHandle)
PMLA_HANDLE(pmla_event, EventHandle)
PMLA_HANDLE(pmla_graph, GraphHandle)
PMLA_HANDLE(pmla_plan, PlanHandle)

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
    auto& on = requireHandle(pointed(handle), name);
    Device& device = deviceOf(on);
    device.requireUsable();
    try {
      const CurrentDevice current(device);
      call(on);
    } catch (const Failure& failure) {
      if (failure.status == PMLA_DEVICE_LOST) throw device.fail(failure);
      throw;
    }
  });
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

}  // namespace polymla
