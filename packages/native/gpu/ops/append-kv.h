#pragma once
#include "../dialect/runtime.h"

#include "polymla_backend.h"

namespace polymla {

/** Enqueues pmla_append_kv_problem: byte for byte what `@polymla/core` writes. Throws Failure. */
void launchAppendKv(const pmla_append_kv_problem& problem, const pmla_append_kv_args& args, rt::Stream stream);

}  // namespace polymla
