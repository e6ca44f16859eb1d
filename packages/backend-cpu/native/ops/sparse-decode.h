#pragma once

#include <memory>

#include "ops.h"

namespace polymla::cpu {

OpFit fitSparseDecode(const Kernels &kernels, const pmla_sparse_decode_problem &problem);
std::unique_ptr<Plan> makeSparseDecodePlan(const Kernels &kernels, const pmla_sparse_decode_problem &problem);

} // namespace polymla::cpu
