#include <memory>

#include "failure-of.h"
#include "kit/entries.h"
#include "handles.h"

namespace polymla::entries {
namespace {

/** What was captured, until an executable graph has been made of it. */
struct Captured {
  rt::Graph graph;
  ~Captured() { static_cast<void>(PMLA_RT(GraphDestroy)(graph)); }
};

}  // namespace

pmla_status capture_begin(pmla_stream stream, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](StreamHandle& on) {
    requireNoCapture(on.captures, "capture_begin");
    POLYMLA_REQUIRE(PMLA_RT(StreamBeginCapture)(on.stream, PMLA_RT(StreamCaptureModeRelaxed)));
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
    rt::Graph captured = nullptr;
    POLYMLA_REQUIRE(PMLA_RT(StreamEndCapture)(on.stream, &captured));
    const Captured owned{captured};
    std::unique_ptr<GraphHandle> made(new GraphHandle{on.device, nullptr});
    POLYMLA_REQUIRE(PMLA_RT(GraphInstantiateWithFlags)(&made->graph, captured, 0));
    *graph = toHandle(made.release());
  });
}

pmla_status graph_launch(pmla_graph graph, pmla_stream stream, pmla_error* error) {
  return guardedOn(graph, "graph", error, [&](const GraphHandle& launched) {
    const StreamHandle& on = requireSameDevice(launched.device, pointed(stream), "stream");
    requireNoCapture(on.captures, "graph_launch");
    on.device.enqueued("a graph");
    POLYMLA_REQUIRE(PMLA_RT(GraphLaunch)(launched.graph, on.stream));
  });
}

void graph_free(pmla_graph graph) {
  freeHandle(graph, [](const GraphHandle& handle) { static_cast<void>(PMLA_RT(GraphExecDestroy)(handle.graph)); });
}

}  // namespace polymla::entries
