#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "../kernels/kernels.h"
#include "../runtime/job.h"
#include "kit/fit.h"
#include "polymla_backend.h"

namespace polymla::cpu {

/** What this backend answers to a problem, and what it needs of each thread. */
struct OpFit : Fit {
  /** Bytes of Scratch that every unit of every job of the plan may use. */
  size_t scratchBytes = 0;
};

/**
 * A problem made ready to launch. Arguments that reach it are complete and checked as far as the host can see: no null
 * pointer but where one may be, strides ≥ 0, batch in range. A job keeps what it needs of them.
 */
class Plan {
public:
  virtual ~Plan() = default;
  /** Only of plans whose fit has maxPartitions > 0. */
  virtual pmla_choice choose(const pmla_load &) const { return {sizeof(pmla_choice), 0, 1, 0}; }
  /** @param args the args struct of the plan's op */
  virtual std::shared_ptr<const Job> launch(const void *args) const = 0;
  /** Only of plans whose fit says `schedules`. */
  virtual std::shared_ptr<const Job> schedule(const pmla_schedule_args &) const { return nullptr; }
};

/**
 * Decides on a checked problem.
 *
 * @param problem the whole problem struct of `problem->op`, valid by every rule of polymla_backend.h
 */
OpFit fitOp(const Kernels &kernels, const pmla_problem *problem);

/** Makes the plan of a problem that fits; keeps what it needs of the problem, and `kernels` by reference. */
std::unique_ptr<Plan> makePlan(const Kernels &kernels, const pmla_problem *problem);

} // namespace polymla::cpu
