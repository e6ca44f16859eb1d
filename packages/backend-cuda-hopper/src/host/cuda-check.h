#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace polymla {

/** A CUDA call that failed, with the call's text. */
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const char* call)
      : std::runtime_error(std::string(call) + ": " + cudaGetErrorString(code)), code(code) {}
  const cudaError_t code;
};

inline void check(cudaError_t code, const char* call) {
  if (code != cudaSuccess) throw CudaError(code, call);
}

}  // namespace polymla

#define POLYMLA_CUDA(call) ::polymla::check((call), #call)
