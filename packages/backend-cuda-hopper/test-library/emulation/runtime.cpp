#include "runtime.h"

#include <cuda.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>

using Work = std::function<void()>;

struct CUgraph_st {
  std::deque<Work> work;
};
struct CUgraphExec_st {
  std::deque<Work> work;
};
struct CUstream_st {
  std::deque<Work> waiting;
  CUgraph_st* capture = nullptr;
};
struct CUevent_st {
  int pending = 0;
};

namespace polymla::emulation {
namespace {

std::recursive_mutex mutex;
std::deque<CUstream_st*> streams;
std::map<void*, size_t> allocations;
bool held = false;
cudaError_t failure = cudaSuccess;
thread_local int current = 0;
thread_local cudaError_t last = cudaSuccess;

cudaError_t result(cudaError_t code = failure) {
  if (code != cudaSuccess) last = code;
  return code;
}

constexpr size_t totalMemory = size_t{4} << 30;

size_t usedMemory() {
  size_t used = 0;
  for (const auto& [memory, bytes] : allocations) used += bytes;
  return used;
}

}  // namespace

void enqueue(cudaStream_t stream, Work work) {
  const std::lock_guard lock(mutex);
  if (failure != cudaSuccess) return;
  if (stream->capture) stream->capture->work.push_back(std::move(work));
  else if (held) stream->waiting.push_back(std::move(work));
  else work();
}

void hold(bool value) {
  const std::lock_guard lock(mutex);
  held = value;
  for (CUstream_st* stream : streams) {
    for (; !held && !stream->waiting.empty(); stream->waiting.pop_front()) stream->waiting.front()();
  }
}

void fail(cudaError_t code) {
  const std::lock_guard lock(mutex);
  failure = code;
}

int contexts() { return current; }

}  // namespace polymla::emulation

using namespace polymla::emulation;

namespace {

CUcontext primary() {
  static int context;
  return reinterpret_cast<CUcontext>(&context);
}
CUresult retainContext(CUcontext* context, CUdevice) {
  *context = primary();
  return CUDA_SUCCESS;
}
CUresult currentContext(CUcontext* context) {
  *context = current > 0 ? primary() : nullptr;
  return CUDA_SUCCESS;
}
CUresult pushContext(CUcontext context) {
  current += context != nullptr;
  return CUDA_SUCCESS;
}
CUresult popContext(CUcontext*) {
  current--;
  return CUDA_SUCCESS;
}

/** What needs a current context, as most calls do. */
cudaError_t checked() { return result(current > 0 ? failure : cudaErrorDeviceUninitialized); }

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetLastError() { return std::exchange(last, cudaSuccess); }
const char* cudaGetErrorName(cudaError_t code) {
  static thread_local std::string name;
  name = "cudaError" + std::to_string(code);
  return name.c_str();
}
const char* cudaGetErrorString(cudaError_t) { return "as the test asked for"; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "Emulated device");
  // Another GPU than the kernels are for, where a test asks for one.
  const char* const capability = std::getenv("POLYMLA_EMULATED_CUDA");
  if (std::sscanf(capability ? capability : "9.0", "%d.%d", &properties->major, &properties->minor) != 2) return cudaErrorInvalidValue;
  properties->totalGlobalMem = totalMemory;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : attribute == cudaDevAttrMultiProcessorCount ? 132 : 0;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** entry, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const std::map<std::string, void*> entries = {{"cuDevicePrimaryCtxRetain", reinterpret_cast<void*>(retainContext)},
                                                {"cuCtxGetCurrent", reinterpret_cast<void*>(currentContext)},
                                                {"cuCtxPushCurrent", reinterpret_cast<void*>(pushContext)},
                                                {"cuCtxPopCurrent", reinterpret_cast<void*>(popContext)}};
  const auto known = entries.find(name);
  *found = known == entries.end() ? cudaDriverEntryPointSymbolNotFound : cudaDriverEntryPointSuccess;
  if (known != entries.end()) *entry = known->second;
  return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t*, const cudaMemPoolProps*) { return checked(); }
cudaError_t cudaMemPoolDestroy(cudaMemPool_t) { return checked(); }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return checked(); }
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) { return *static_cast<cuuint64_t*>(value) = 0, checked(); }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return checked(); }
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  const std::lock_guard lock(mutex);
  *total = totalMemory;
  *available = totalMemory - usedMemory();
  return checked();
}
cudaError_t cudaMallocFromPoolAsync(void** memory, size_t bytes, cudaMemPool_t, cudaStream_t) {
  const std::lock_guard lock(mutex);
  if (bytes > totalMemory - usedMemory()) return result(cudaErrorMemoryAllocation);
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*memory, 0xff, bytes);
  allocations[*memory] = bytes;
  return checked();
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t) {
  const std::lock_guard lock(mutex);
  if (allocations.erase(memory) == 0) std::abort();
  std::free(memory);
  return checked();
}
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) { return *memory = std::malloc(bytes), checked(); }
cudaError_t cudaFreeHost(void* memory) { return std::free(memory), checked(); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const std::lock_guard lock(mutex);
  streams.push_back(*stream = new CUstream_st);
  return checked();
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  std::erase(streams, stream);
  delete stream;
  return checked();
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return checked(); }
cudaError_t cudaDeviceSynchronize() { return checked(); }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return checked(); }
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  enqueue(stream, [=] { std::memcpy(target, source, bytes); });
  return checked();
}
cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { std::memset(target, value, bytes); });
  return checked();
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  enqueue(stream, [=] { function(data); });
  return checked();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new CUevent_st, checked(); }
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, checked(); }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  event->pending++;
  enqueue(stream, [=] { event->pending--; });
  return checked();
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(mutex);
  return failure == cudaSuccess && event->pending > 0 ? result(cudaErrorNotReady) : checked();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return *milliseconds = from == to ? 0 : 0.5f, checked();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) { return stream->capture = new CUgraph_st, checked(); }
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->capture, nullptr);
  return checked();
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  *made = new CUgraphExec_st{graph->work};
  return checked();
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, checked(); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return delete graph, checked(); }
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  for (const Work& work : graph->work) enqueue(stream, work);
  return checked();
}
}
