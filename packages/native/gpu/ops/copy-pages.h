#pragma once
#include "../dialect/runtime.h"

#include "polymla_backend.h"

namespace polymla {

/** Enqueues pmla_copy_pages_problem. Throws Failure. */
void launchCopyPages(const pmla_copy_pages_problem& problem, const pmla_copy_pages_args& args, rt::Stream stream);

}  // namespace polymla
