#pragma once
#include "../dialect/runtime.h"

#include "polymla_backend.h"

namespace polymla {

/** Enqueues pmla_merge_states_problem; sums of outs in fp32. Throws Failure. */
void launchMergeStates(const pmla_merge_states_problem& problem, const pmla_merge_states_args& args, rt::Stream stream);

}  // namespace polymla
