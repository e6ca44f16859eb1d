#include "enqueue.h"
#include "kit/entries.h"
#include "kit/report.h"

namespace polymla::entries {

using namespace cpu;

pmla_status capture_begin(pmla_stream stream, pmla_error *error) {
  return guarded(error, [&] {
    StreamHandle &on = checked(stream, "stream");
    requireNoCapture(on.capture != nullptr, "capture_begin");
    on.capture = std::make_unique<std::vector<Launch>>();
  });
}

pmla_status capture_end(pmla_stream stream, pmla_graph *graph, pmla_error *error) {
  return guarded(error, [&] {
    StreamHandle &on = checked(stream, "stream");
    const std::unique_ptr<std::vector<Launch>> captured = std::move(on.capture);
    requirePointer(graph, "graph");
    if (captured == nullptr) {
      throw makeFailure(PMLA_CAPTURE_ILLEGAL, "Call capture_begin first",
                        "capture_end: the stream captures nothing");
    }
    *graph = toHandle(new GraphHandle{on.device, std::move(*captured)});
  });
}

pmla_status graph_launch(pmla_graph graph, pmla_stream stream, pmla_error *error) {
  return guarded(error, [&] {
    const GraphHandle &launched = checked(graph, "graph");
    StreamHandle &on = requireSameDevice(launched.device, pointed(stream), "stream");
    requireNoCapture(on.capture != nullptr, "graph_launch");
    StepQueue steps;
    for (const Launch &launch : launched.launches) {
      auto step = std::make_unique<Step>();
      step->launch = launch;
      steps.push(std::move(step));
    }
    if (steps.first() != nullptr) on.device.executor.enqueue(*on.stream, std::move(steps));
  });
}

void graph_free(pmla_graph graph) {
  GraphHandle *handle = pointed(graph);
  if (!handle->device.lost()) delete handle;
}

} // namespace polymla::entries
