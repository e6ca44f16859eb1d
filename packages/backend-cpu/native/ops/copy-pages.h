#pragma once

#include <memory>

#include "ops.h"

namespace polymla::cpu {

OpFit fitCopyPages();
std::unique_ptr<Plan> makeCopyPagesPlan(const pmla_copy_pages_problem &problem);

} // namespace polymla::cpu
