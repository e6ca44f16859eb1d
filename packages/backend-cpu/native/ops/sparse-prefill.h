#pragma once

#include <memory>

#include "ops.h"

namespace polymla::cpu {

OpFit fitSparsePrefill(const Kernels &kernels, const pmla_sparse_prefill_problem &problem);
std::unique_ptr<Plan> makeSparsePrefillPlan(const Kernels &kernels,
                                            const pmla_sparse_prefill_problem &problem);

} // namespace polymla::cpu
