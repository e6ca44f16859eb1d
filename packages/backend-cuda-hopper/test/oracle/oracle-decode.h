#pragma once
#include <cuda_runtime.h>

#include "polymla_backend.h"

namespace polymla::test {

/** Enqueues pmla_decode_problem in double precision, one block per query row, from the definition. Throws Failure. */
void launchOracle(const pmla_decode_problem& problem, const pmla_decode_args& args, cudaStream_t stream);

}  // namespace polymla::test
