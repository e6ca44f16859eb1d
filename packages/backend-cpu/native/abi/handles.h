#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../ops/ops.h"
#include "../runtime/device.h"
#include "kit/args.h"
#include "kit/checks.h"
#include "kit/handles.h"

namespace polymla::cpu {

// What the handles of polymla_backend.h point to; a pmla_device is a Device.

struct StreamHandle {
  explicit StreamHandle(Device &device) : device(device) {}

  Device &device;
  std::unique_ptr<Stream> stream = std::make_unique<Stream>();
  /** What is being captured; null when nothing is. */
  std::unique_ptr<std::vector<Launch>> capture;
};

struct EventHandle {
  Device &device;
  /** The last recording; null before the first. The executor guards it. */
  std::shared_ptr<Recording> recording;
};

struct GraphHandle {
  Device &device;
  std::vector<Launch> launches;
};

/** What a plan's launches keep alive. */
struct PreparedPlan : FitProblem {
  /** For messages. */
  std::string what;
  std::shared_ptr<const ScratchSet> scratch;
  std::unique_ptr<const Plan> plan;
};

struct PlanHandle {
  Device &device;
  std::shared_ptr<const PreparedPlan> prepared;
};

PMLA_HANDLE(pmla_device, Device)
PMLA_HANDLE(pmla_stream, StreamHandle)
PMLA_HANDLE(pmla_event, EventHandle)
PMLA_HANDLE(pmla_graph, GraphHandle)
PMLA_HANDLE(pmla_plan, PlanHandle)

inline const Device &deviceOf(const Device &device) { return device; }
template <class Handle> const Device &deviceOf(const Handle &handle) { return handle.device; }

/** What a handle points to. Throws Failure when it is NULL, or its device is lost. */
template <class Handle> auto &checked(Handle handle, const char *name) {
  auto &found = requireHandle(pointed(handle), name);
  if (deviceOf(found).lost()) {
    throw makeFailure(PMLA_DEVICE_LOST, "Open the device in the process that uses it",
                      "the device was opened before this process was forked");
  }
  return found;
}

} // namespace polymla::cpu
