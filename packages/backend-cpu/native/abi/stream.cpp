#include <cstring>

#include "../runtime/bytes-jobs.h"
#include "enqueue.h"
#include "kit/entries.h"
#include "kit/report.h"

namespace polymla::cpu {

namespace {

/** Moving so few bytes takes less time than to hand it to another thread. */
constexpr uint64_t AT_ONCE = uint64_t{1} << 16;

using Standing = Executor::Standing;

/** Moves up to `limit` bytes where the stream has nothing else to do; false: the caller has to enqueue. */
template <class Move> bool doneAtOnce(StreamHandle &stream, uint64_t bytes, uint64_t limit, Move move) {
  if (bytes == 0) return true;
  if (stream.capture != nullptr || bytes > limit) return false;
  const Standing standing = stream.device.executor.standing(*stream.stream);
  if (standing == Standing::Idle) move();
  return standing != Standing::Busy; // the work of a failed stream is dropped
}

void requireRanges(const void *target, const void *source, uint64_t bytes) {
  if (bytes == 0) return;
  requirePointer(target, "target");
  requirePointer(source, "source");
}

} // namespace

void enqueue(StreamHandle &stream, Launch launch) {
  if (stream.capture != nullptr) {
    stream.capture->push_back(std::move(launch));
    return;
  }
  auto step = std::make_unique<Step>();
  step->launch = std::move(launch);
  StepQueue steps;
  steps.push(std::move(step));
  stream.device.executor.enqueue(*stream.stream, std::move(steps));
}

} // namespace polymla::cpu

namespace polymla::entries {

using namespace cpu;

pmla_status stream_new(pmla_device device, void *native, pmla_stream *stream, pmla_error *error) {
  return guarded(error, [&] {
    Device &open = checked(device, "device");
    requirePointer(stream, "stream");
    if (native != nullptr)
      throw makeFailure(PMLA_UNSUPPORTED, "", "processors have no native streams to adopt");
    *stream = toHandle(new StreamHandle(open));
  });
}

void stream_free(pmla_stream stream) {
  StreamHandle *handle = pointed(stream);
  if (handle->device.lost()) return;
  handle->device.executor.release(std::move(handle->stream));
  delete handle;
}

pmla_status upload(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error) {
  return guarded(error, [&] {
    StreamHandle &to = checked(stream, "stream");
    requireRanges(target, source, bytes);
    requireNoCapture(to.capture != nullptr, "upload");
    // Of any size: a copy to keep would take as long.
    if (doneAtOnce(to, bytes, UINT64_MAX, [&] { memcpy(target, source, bytes); })) return;
    enqueue(to, {stagedCopyJob(target, source, bytes), "upload", nullptr, nullptr});
  });
}

pmla_status download(pmla_stream stream, void *target, const void *source, uint64_t bytes,
                     pmla_error *error) {
  return guarded(error, [&] {
    StreamHandle &from = checked(stream, "stream");
    requireRanges(target, source, bytes);
    requireNoCapture(from.capture != nullptr, "download");
    if (doneAtOnce(from, bytes, AT_ONCE, [&] { memcpy(target, source, bytes); })) return;
    enqueue(from, {copyJob(target, source, bytes), "download", nullptr, nullptr});
  });
}

pmla_status fill(pmla_stream stream, void *target, uint8_t value, uint64_t bytes, pmla_error *error) {
  return guarded(error, [&] {
    StreamHandle &on = checked(stream, "stream");
    requireRanges(target, target, bytes);
    if (doneAtOnce(on, bytes, AT_ONCE, [&] { memset(target, value, bytes); })) return;
    enqueue(on, {fillJob(target, value, bytes), "fill", nullptr, nullptr});
  });
}

pmla_status copy(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error) {
  return guarded(error, [&] {
    StreamHandle &on = checked(stream, "stream");
    requireRanges(target, source, bytes);
    if (doneAtOnce(on, bytes, AT_ONCE, [&] { memcpy(target, source, bytes); })) return;
    enqueue(on, {copyJob(target, source, bytes), "copy", nullptr, nullptr});
  });
}

} // namespace polymla::entries
