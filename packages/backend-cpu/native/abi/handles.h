#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../ops/ops.h"
#include "../runtime/device.h"
#include "kit/args.h"
#include "kit/checks.h"

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

inline pmla_device toHandle(Device *device) { return reinterpret_cast<pmla_device>(device); }
inline pmla_stream toHandle(StreamHandle *stream) { return reinterpret_cast<pmla_stream>(stream); }
inline pmla_event toHandle(EventHandle *event) { return reinterpret_cast<pmla_event>(event); }
inline pmla_graph toHandle(GraphHandle *graph) { return reinterpret_cast<pmla_graph>(graph); }
inline pmla_plan toHandle(PlanHandle *plan) { return reinterpret_cast<pmla_plan>(plan); }

inline Device *pointed(pmla_device device) { return reinterpret_cast<Device *>(device); }
inline StreamHandle *pointed(pmla_stream stream) { return reinterpret_cast<StreamHandle *>(stream); }
inline EventHandle *pointed(pmla_event event) { return reinterpret_cast<EventHandle *>(event); }
inline GraphHandle *pointed(pmla_graph graph) { return reinterpret_cast<GraphHandle *>(graph); }
inline PlanHandle *pointed(pmla_plan plan) { return reinterpret_cast<PlanHandle *>(plan); }

inline const Device &deviceOf(const Device &device) { return device; }
template <class Handle> const Device &deviceOf(const Handle &handle) { return handle.device; }

/** What a handle points to. Throws Failure when it is NULL, or its device is lost. */
template <class Handle> auto &checked(Handle handle, const char *name) {
  auto *pointer = pointed(handle);
  if (pointer == nullptr) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a handle, found NULL", name);
  }
  if (deviceOf(*pointer).lost()) {
    throw makeFailure(PMLA_DEVICE_LOST, "Open the device in the process that uses it",
                      "the device was opened before this process was forked");
  }
  return *pointer;
}

} // namespace polymla::cpu
