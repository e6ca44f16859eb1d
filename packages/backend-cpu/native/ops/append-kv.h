#pragma once

#include <memory>

#include "ops.h"

namespace polymla::cpu {

OpFit fitAppendKv(const pmla_append_kv_problem &problem);
std::unique_ptr<Plan> makeAppendKvPlan(const Kernels &kernels, const pmla_append_kv_problem &problem);

} // namespace polymla::cpu
