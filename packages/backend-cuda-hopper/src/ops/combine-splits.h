#pragma once
#include <cuda_runtime.h>

#include "../decode/params.h"

namespace polymla {

/** Results of the splits of a step as requests of their own. Device pointers; T is bf16 or fp16. */
template <class T>
struct SplitResults {
  const T* outs;      ///< [splits, queryTokens, headsQ, 512]
  const float* lses;  ///< [splits, headsQ, queryTokens], natural log
};

/**
 * Enqueues the combination of each request's splits, params.numSplits of them, into params.out and params.lse: weights by
 * their lse, sums in fp32, in order. Throws Failure.
 */
template <class T>
void launchCombineSplits(const DecodeParams<T>& params, const SplitResults<T>& splits, cudaStream_t stream);

}  // namespace polymla
