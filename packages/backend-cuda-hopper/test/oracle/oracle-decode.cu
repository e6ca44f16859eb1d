#include "oracle-decode.h"

#include "gpu/dialect/launch.h"
#include "gpu/ops/cache-layout.h"
#include "gpu/ops/chunks.h"

namespace polymla::test {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / 32;
/** Dims of a row that a thread sums up. */
constexpr int mostValues = 4;

__device__ __forceinline__ double sumOverWarp(double value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  return value;
}

__device__ double oneNumber(const void* from, uint32_t dtype, int64_t index) { return loadNumber(from, dtype, index); }

/** What of a problem decides which keys a query row sees, and where they lie. */
struct Keys {
  const pmla_decode_problem& problem;
  const pmla_decode_args& args;
  const CacheLayout& layout;
  int64_t request;
  int64_t token;
  int64_t kvHead;
  int64_t length;

  __device__ bool sees(int64_t key) const {
    const int64_t queryTokens = problem.query_tokens;
    if (problem.mask == PMLA_MASK_NONE) return true;
    if (problem.mask == PMLA_MASK_CAUSAL) return key < length - (queryTokens - 1 - token);
    const int64_t tail = key - (length - queryTokens);
    if (tail < 0) return true;
    const int64_t words = (queryTokens + 31) / 32;
    return args.tree_mask[(request * queryTokens + token) * words + tail / 32] >> tail % 32 & 1;
  }

  /** Null for a key that is not seen. */
  __device__ const void* at(int64_t key) const {
    if (!sees(key)) return nullptr;
    const int64_t page = args.block_table[request * problem.block_table_width + key / layout.pageSize];
    if (!layout.hasPage(page)) return nullptr;
    return static_cast<const char*>(args.cache) + layout.tokenAt(page * layout.pageSize + key % layout.pageSize) + kvHead * layout.headStride;
  }
};

__global__ void __launch_bounds__(threads)
    oracleDecode(const pmla_decode_problem problem, const pmla_decode_args args, const CacheLayout layout, uint32_t keyDtype) {
  extern __shared__ double query[];
  __shared__ double weights[threads];
  const int headDim = static_cast<int>(problem.cache.head_dim);
  const int valueDim = static_cast<int>(problem.value_dim);
  const int64_t rowsOfRequest = problem.query_tokens * problem.heads;
  const int64_t request = blockIdx.x / rowsOfRequest;
  const int64_t token = blockIdx.x % rowsOfRequest / problem.heads;
  const int64_t head = blockIdx.x % problem.heads;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;

  const int64_t queryAt = request * args.q_strides[0] + token * args.q_strides[1] + head * args.q_strides[2];
  for (int dim = threadIdx.x; dim < headDim; dim += threads) query[dim] = oneNumber(args.q, problem.q_dtype, queryAt + dim);
  const int64_t room = problem.block_table_width * layout.pageSize;
  const int64_t length = max(min(static_cast<int64_t>(args.seqlens[request]), room), int64_t{0});
  const Keys keys{problem, args, layout, request, token, head / (problem.heads / problem.cache.heads_kv), length};
  const double scale = problem.softmax_scale;

  double largest = -INFINITY;
  double total = 0;
  double sums[mostValues] = {};
  for (int64_t begin = 0; begin < length; begin += threads) {
    const int count = static_cast<int>(min(length - begin, int64_t{threads}));
    __syncthreads();
    for (int index = warp; index < count; index += warps) {
      const void* const key = keys.at(begin + index);
      double dot = 0;
      for (int dim = lane; key && dim < headDim; dim += 32) dot += query[dim] * oneNumber(key, keyDtype, dim);
      dot = sumOverWarp(dot);
      if (lane == 0) weights[index] = key ? dot * scale : -INFINITY;
    }
    __syncthreads();
    double largestNow = largest;
    for (int index = 0; index < count; index++) largestNow = fmax(largestNow, weights[index]);
    if (largestNow == -INFINITY) continue;
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < count) weights[threadIdx.x] = exp(weights[threadIdx.x] - largestNow);
    __syncthreads();
    const double shrink = exp(largest - largestNow);
    largest = largestNow;
    total *= shrink;
    for (double& sum : sums) sum *= shrink;
    for (int index = 0; index < count; index++) {
      const double weight = weights[index];
      total += weight;
      const void* const key = keys.at(begin + index);
      if (key == nullptr) continue;
#pragma unroll
      for (int i = 0; i < mostValues; i++) {
        const int dim = threadIdx.x + i * threads;
        if (dim < valueDim) sums[i] += weight * oneNumber(key, keyDtype, dim);
      }
    }
  }
  const int64_t row = (request * problem.query_tokens + token) * problem.heads + head;
  for (int i = 0; i < mostValues; i++) {
    const int dim = threadIdx.x + i * threads;
    if (dim < valueDim) static_cast<float*>(args.out)[row * valueDim + dim] = total > 0 ? static_cast<float>(sums[i] / total) : 0;
  }
  if (threadIdx.x == 0 && args.lse != nullptr) {
    args.lse[(request * problem.heads + head) * problem.query_tokens + token] = total > 0 ? static_cast<float>(largest + log(total)) : INFINITY;
  }
}

}  // namespace

void launchOracle(const pmla_decode_problem& problem, const pmla_decode_args& args, cudaStream_t stream) {
  const uint32_t format = problem.cache.format;
  const uint32_t keyDtype = format == PMLA_KV_BF16 ? PMLA_BF16 : format == PMLA_KV_F16 ? PMLA_F16 : PMLA_F32;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(args.batch * problem.query_tokens * problem.heads));
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = static_cast<size_t>(problem.cache.head_dim) * sizeof(double);
  config.stream = stream;
  requireRuntime(cudaLaunchKernelEx(&config, oracleDecode, problem, args, CacheLayout(problem.cache), keyDtype), "oracle_decode");
}

}  // namespace polymla::test
