#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace polymla {

/** Results of the splits of a step as requests of their own, and of the step. Device pointers; T is bf16 or fp16. */
template <class T>
struct SplitResults {
  const int32_t* numSplits;  ///< [batch + 1]: prefix sums of the splits of each request
  const T* outs;             ///< [splits, queryTokens, headsQ, 512]
  const float* lses;         ///< [splits, headsQ, queryTokens], natural log
  T* out;                    ///< [batch, queryTokens, headsQ, 512]
  float* lse;                ///< [batch, headsQ, queryTokens]
  int64_t batch;
  int32_t queryTokens;
  int32_t headsQ;
};

/** Enqueues the combination of each request's splits: weights by their lse, sums in fp32, in order. Throws Failure. */
template <class T>
void launchCombineSplits(const SplitResults<T>& splits, cudaStream_t stream);

}  // namespace polymla
