#include "stream.h"

namespace polymla {
namespace {

pmla_stream newStream(Device &device, void *native) {
  device.assertUsable();
  pmla_stream stream = nullptr;
  ErrorRecord error;
  device.check(device.table().stream_new(device.handle(), native, &stream, error.get()), error, "stream_new");
  if (!stream) device.fail({PMLA_INTERNAL, 0, "stream_new gave no stream", "", ""});
  return stream;
}

}  // namespace

Stream::Stream(std::shared_ptr<Device> device, void *native)
    : Handle(Kind::STREAM, device), stream_(newStream(*device, native)) {}

void Stream::upload(void *target, const void *source, uint64_t bytes) {
  enqueuing();
  ErrorRecord error;
  device().check(device().table().upload(stream_, target, source, bytes, error.get()), error, "upload");
}

void Stream::download(const void *source, void *target, uint64_t bytes) {
  enqueuing();
  ErrorRecord error;
  device().check(device().table().download(stream_, target, source, bytes, error.get()), error, "download");
}

void Stream::fill(void *target, uint8_t value, uint64_t bytes) {
  enqueuing();
  ErrorRecord error;
  device().check(device().table().fill(stream_, target, value, bytes, error.get()), error, "fill");
}

void Stream::copy(const void *source, void *target, uint64_t bytes) {
  enqueuing();
  ErrorRecord error;
  device().check(device().table().copy(stream_, target, source, bytes, error.get()), error, "copy");
}

std::shared_ptr<Mark> Stream::record() {
  device().assertUsable();
  auto mark = device().record(*this);
  setLast(mark);
  return mark;
}

void Stream::wait(Mark &mark) {
  device().assertUsable();
  if (device().poll(mark) && !mark.failure()) return;
  enqueuing();
  mark.awaited = true;
  ErrorRecord error;
  device().check(device().table().event_wait(mark.event(), stream_, error.get()), error, "event_wait");
}

void Stream::beginCapture() {
  device().assertUsable();
  busyMark(); // nothing can be recorded before the capture ends
  ErrorRecord error;
  device().check(device().table().capture_begin(stream_, error.get()), error, "capture_begin");
  capturing_ = true;
}

pmla_graph Stream::endCapture() {
  device().assertUsable();
  capturing_ = false;
  busy_ = false; // what was enqueued since the mark is in the graph
  pmla_graph graph = nullptr;
  ErrorRecord error;
  device().check(device().table().capture_end(stream_, &graph, error.get()), error, "capture_end");
  if (!graph) device().fail({PMLA_INTERNAL, 0, "capture_end gave no graph", "", ""});
  return graph;
}

void Stream::launch(const Graph &graph) {
  enqueuing();
  ErrorRecord error;
  device().check(device().table().graph_launch(graph.native(), stream_, error.get()), error, "graph_launch");
}

std::shared_ptr<Mark> Stream::busyMark() {
  if (device().waiter().isLost()) return nullptr;
  if (busy_ && !capturing_ && !freed()) {
    try {
      setLast(device().record(*this));
    } catch (const Failure &failure) {
      if (failure.status == PMLA_OUT_OF_MEMORY) throw;
      // Where nothing can be recorded the work has failed, and a stream that has failed drops the rest.
      busy_ = false;
    }
  }
  return last_ && !device().poll(*last_) ? last_ : nullptr;
}

void Stream::afterwards(std::function<void()> then) {
  std::shared_ptr<Mark> mark;
  try {
    mark = busyMark();
  } catch (const Failure &) {
    return device().retire(std::move(then)); // which tries again
  }
  if (mark) {
    device().waiter().after({mark}, std::move(then));
  } else {
    then();
  }
}

void Stream::setLast(std::shared_ptr<Mark> mark) {
  const auto before = std::exchange(last_, std::move(mark));
  busy_ = false;
  // Its event must not go while the stream may still get there.
  if (before && !device().poll(*before)) device().waiter().after({before}, [before] {});
}

void Stream::forget() { setLast(nullptr); }

void Stream::retire() {
  if (capturing_) {
    try {
      device().table().graph_free(endCapture());
    } catch (const Failure &) {
      // The capture failed, and with it went the graph.
    }
  }
  device().retire([&table = device().table(), stream = stream_, freed = freed_] {
    table.stream_free(stream);
    freed->store(true, std::memory_order_release);
  });
}

Buffer::Buffer(std::shared_ptr<Device> device, uint64_t bytes)
    : Handle(Kind::BUFFER, device), bytes_(bytes), memory_(device->alloc(bytes)) {}

void Buffer::retire() {
  device().retire([&table = device().table(), handle = device().handle(), memory = memory_] { table.release(handle, memory); },
                  bytes_);
}

void Graph::retire() {
  device().retire([&table = device().table(), graph = graph_] { table.graph_free(graph); });
}

bool Event::query() const {
  device().assertUsable();
  if (!device().poll(*mark_)) return false;
  if (const Failure *failure = mark_->failure()) throw *failure;
  return true;
}

double Event::since(const Event &earlier) const {
  device().assertUsable();
  double microseconds = 0;
  ErrorRecord error;
  device().check(device().table().event_elapsed(earlier.mark_->event(), mark_->event(), &microseconds, error.get()),
                 error, "event_elapsed");
  return microseconds;
}

void Event::retire() {
  const auto mark = std::exchange(mark_, nullptr);
  if (mark->awaited) {
    device().retire([mark] {});
  } else if (!device().poll(*mark)) {
    device().waiter().after({mark}, [mark] {});
  }
}

}  // namespace polymla
