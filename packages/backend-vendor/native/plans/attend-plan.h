#pragma once
#include "attend-shape.h"
#include "gpu/library/plan.h"

namespace polymla {

// Plans of problems that fit.

std::unique_ptr<Plan> makeAttendPlan(Device &device, const pmla_decode_problem &problem);
std::unique_ptr<Plan> makeAttendPlan(Device &device, const pmla_sparse_decode_problem &problem);
std::unique_ptr<Plan> makeAttendPlan(Device &device, const pmla_sparse_prefill_problem &problem);

} // namespace polymla
