#pragma once
#include "decode-shape.h"
#include "gpu/library/plan.h"

namespace polymla {

/** Makes the plan of a dense decode problem that fits. */
std::unique_ptr<Plan> makeDecodePlan(Device& device, const pmla_decode_problem& problem);

}  // namespace polymla
