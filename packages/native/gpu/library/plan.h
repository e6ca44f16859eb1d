#pragma once
#include <memory>

#include "../dialect/runtime.h"
#include "kit/args.h"
#include "kit/fit.h"
#include "kit/problem.h"

namespace polymla {

class Device;
struct DeviceTraits;

/**
 * A problem made ready to launch. Arguments that reach it are complete and checked as far as the host can see. Its
 * device is current in all calls, the destructor included. Throws Failure.
 */
class Plan {
public:
  Plan() = default;
  Plan(const Plan &) = delete;
  virtual ~Plan() = default;
  /** Only of plans whose fit has maxPartitions > 0. */
  virtual pmla_choice choose(const pmla_load &) { return {}; }
  /** Only of plans whose fit says `schedules`. */
  virtual void schedule(const pmla_schedule_args &, rt::Stream) {}
  virtual void launch(const AnyArgs &args, rt::Stream stream) = 0;
};

/** Decides on a checked problem. */
Fit fitPlan(const DeviceTraits &traits, const AnyProblem &problem);

/** Makes the plan of a problem that fits. */
std::unique_ptr<Plan> makePlan(Device &device, const AnyProblem &problem);

} // namespace polymla
