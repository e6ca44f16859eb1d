#pragma once

#include "fit.h"
#include "problem.h"

namespace polymla {

/** A problem and what the library answered to it: what a plan's arguments are checked against. */
struct FitProblem {
  AnyProblem problem;
  Fit fit;
};

/** Arguments of a launch of any op. */
union AnyArgs {
  pmla_decode_args decode;
  pmla_sparse_decode_args sparseDecode;
  pmla_sparse_prefill_args sparsePrefill;
  pmla_append_kv_args appendKv;
  pmla_merge_states_args mergeStates;
  pmla_copy_pages_args copyPages;
};

/** Throws Failure when the plan is of another op than is launched. */
void requireOp(const FitProblem &plan, uint32_t op);

/**
 * Reads the arguments of a launch of `plan`'s op and checks what the host can see: pointers, strides, counts.
 * Throws Failure.
 */
AnyArgs readArgs(const FitProblem &plan, const void *args);

/** The same of a device-side schedule. */
pmla_schedule_args readScheduleArgs(const FitProblem &plan, const pmla_schedule_args *args);

/** The same of a step's load. */
pmla_load readLoad(const FitProblem &plan, const pmla_load *load);

} // namespace polymla
