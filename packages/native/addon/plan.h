#pragma once

#include <optional>

#include "problem.h"
#include "stream.h"

namespace polymla {

/** What a library answers to a problem, within the bounds that JavaScript's numbers and core set. */
struct Fit {
  /** Why not; empty when it fits. */
  std::string why;
  uint64_t workspaceBytes = 0;
  int64_t maxPartitions = 0;
  int64_t fixedOverhead = 0;
  bool schedules = false;
};

/** Throws Failure when the library cannot tell. */
Fit fit(Device &device, const Problem &problem);

/** A problem made ready. */
class Plan : public Handle {
 public:
  static constexpr Kind KIND = Kind::PLAN;
  /** Throws Failure. */
  Plan(std::shared_ptr<Device> device, const Problem &problem);
  /** What to schedule a step with. Throws Failure; not to be called where the library's `choose` is NULL. */
  pmla_choice choose(const pmla_load &load);
  /** Enqueue what the block holds the arguments of. Throw Failure. */
  void schedule(Stream &stream, const double *block);
  void launch(Stream &stream, const double *block);

 protected:
  void retire() override;

 private:
  const uint32_t op_;
  const pmla_plan plan_;
};

}  // namespace polymla
