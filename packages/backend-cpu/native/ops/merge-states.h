#pragma once

#include <memory>

#include "ops.h"

namespace polymla::cpu {

OpFit fitMergeStates(const pmla_merge_states_problem &problem);
std::unique_ptr<Plan> makeMergeStatesPlan(const Kernels &kernels, const pmla_merge_states_problem &problem);

} // namespace polymla::cpu
