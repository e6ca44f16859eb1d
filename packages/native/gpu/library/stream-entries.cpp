#include "failure-of.h"
#include "kit/entries.h"
#include "handles.h"

namespace polymla::entries {
namespace {

void requireRange(const void* target, const void* source) {
  requirePointer(target, "target");
  requirePointer(source, "source");
}

}  // namespace

pmla_status stream_new(pmla_device device, void* native, pmla_stream* stream, pmla_error* error) {
  return guardedOn(device, "device", error, [&](Device& open) {
    requirePointer(stream, "stream");
    std::unique_ptr<StreamHandle> made(new StreamHandle{open, static_cast<rt::Stream>(native), native == nullptr});
    if (made->owned) POLYMLA_REQUIRE(PMLA_RT(StreamCreateWithFlags)(&made->stream, PMLA_RT(StreamNonBlocking)));
    *stream = toHandle(made.release());
  });
}

void stream_free(pmla_stream stream) {
  freeHandle(stream, [](const StreamHandle& handle) {
    if (handle.owned) static_cast<void>(PMLA_RT(StreamDestroy)(handle.stream));
  });
}

pmla_status upload(pmla_stream stream, void* target, const void* source, uint64_t bytes, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](const StreamHandle& to) {
    requireRange(target, source);
    requireNoCapture(to.captures, "upload");
    to.device.enqueued("upload");
    to.device.staging().upload(to.stream, target, source, bytes);
  });
}

pmla_status download(pmla_stream stream, void* target, const void* source, uint64_t bytes, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](const StreamHandle& from) {
    requireRange(target, source);
    requireNoCapture(from.captures, "download");
    from.device.staging().download(from.stream, target, source, bytes);
  });
}

pmla_status fill(pmla_stream stream, void* target, uint8_t value, uint64_t bytes, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](const StreamHandle& on) {
    requirePointer(target, "target");
    on.device.enqueued("fill");
    POLYMLA_REQUIRE(PMLA_RT(MemsetAsync)(target, value, bytes, on.stream));
  });
}

pmla_status copy(pmla_stream stream, void* target, const void* source, uint64_t bytes, pmla_error* error) {
  return guardedOn(stream, "stream", error, [&](const StreamHandle& on) {
    requireRange(target, source);
    on.device.enqueued("copy");
    POLYMLA_REQUIRE(PMLA_RT(MemcpyAsync)(target, source, bytes, PMLA_RT(MemcpyDeviceToDevice), on.stream));
  });
}

}  // namespace polymla::entries
