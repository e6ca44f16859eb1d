#pragma once

#include <memory>

#include "ops.h"

namespace polymla::cpu {

OpFit fitDecode(const Kernels &kernels, const pmla_decode_problem &problem);
std::unique_ptr<Plan> makeDecodePlan(const Kernels &kernels, const pmla_decode_problem &problem);

} // namespace polymla::cpu
