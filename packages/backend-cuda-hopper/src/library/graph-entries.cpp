#include <memory>

#include "cuda-failure.h"
#include "entries.h"
#include "handles.h"

namespace polymla::entries {

pmla_status capture_begin(pmla_stream stream, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](StreamHandle& on) {
    requireNoCapture(on, "capture_begin");
    POLYMLA_REQUIRE(cudaStreamBeginCapture(on.stream, cudaStreamCaptureModeRelaxed));
    on.captures = true;
  });
}

pmla_status capture_end(pmla_stream stream, pmla_graph* graph, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](StreamHandle& on) {
    requirePointer(graph, "graph");
    if (!on.captures) {
      throw makeFailure(PMLA_CAPTURE_ILLEGAL, "Call capture_begin first", "capture_end: the stream captures nothing");
    }
    on.captures = false;
    cudaGraph_t captured = nullptr;
    POLYMLA_REQUIRE(cudaStreamEndCapture(on.stream, &captured));
    cudaGraphExec_t made = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&made, captured, 0);
    cudaGraphDestroy(captured);
    requireCuda(code, "cudaGraphInstantiate");
    *graph = toHandle(new GraphHandle{on.device, made});
  });
}

pmla_status graph_launch(pmla_graph graph, pmla_stream stream, pmla_error* error) {
  return guardedOn(graph, "graph", error, [&](const GraphHandle& launched) {
    const StreamHandle& on = sameDevice(launched.device, stream, "stream");
    requireNoCapture(on, "graph_launch");
    on.device.enqueued("a graph");
    POLYMLA_REQUIRE(cudaGraphLaunch(launched.graph, on.stream));
  });
}

void graph_free(pmla_graph graph) {
  freeHandle(graph, [](const GraphHandle& handle) { cudaGraphExecDestroy(handle.graph); });
}

}  // namespace polymla::entries
