#include <chrono>

#include "enqueue.h"
#include "kit/entries.h"
#include "kit/report.h"

namespace polymla::entries {

using namespace cpu;

namespace {

/** The last recording of an event. Throws Failure when there is none. */
std::shared_ptr<Recording> recordingOf(EventHandle &event) {
  std::shared_ptr<Recording> recording = event.device.executor.recordingOf(event.recording);
  if (recording == nullptr) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                      "event: expected one that was recorded, found one that was not");
  }
  return recording;
}

void enqueue(StreamHandle &stream, std::unique_ptr<Step> step) {
  StepQueue steps;
  steps.push(std::move(step));
  stream.device.executor.enqueue(*stream.stream, std::move(steps));
}

} // namespace

pmla_status event_new(pmla_device device, pmla_event *event, pmla_error *error) {
  return guarded(error, [&] {
    Device &open = checked(device, "device");
    requirePointer(event, "event");
    *event = toHandle(new EventHandle{open, nullptr});
  });
}

void event_free(pmla_event event) {
  EventHandle *handle = pointed(event);
  if (!handle->device.lost()) delete handle;
}

pmla_status event_record(pmla_event event, pmla_stream stream, pmla_error *error) {
  return guarded(error, [&] {
    EventHandle &marks = checked(event, "event");
    StreamHandle &on = requireSameDevice(marks.device, pointed(stream), "stream");
    requireNoCapture(on.capture != nullptr, "event_record");
    auto step = std::make_unique<Step>();
    step->record = std::make_shared<Recording>();
    marks.device.executor.setRecording(marks.recording, step->record);
    enqueue(on, std::move(step));
  });
}

pmla_status event_wait(pmla_event event, pmla_stream stream, pmla_error *error) {
  return guarded(error, [&] {
    EventHandle &awaited = checked(event, "event");
    StreamHandle &on = requireSameDevice(awaited.device, pointed(stream), "stream");
    requireNoCapture(on.capture != nullptr, "event_wait");
    auto step = std::make_unique<Step>();
    step->wait = recordingOf(awaited);
    enqueue(on, std::move(step));
  });
}

pmla_status event_query(pmla_event event, pmla_error *error) {
  pmla_status status = PMLA_OK;
  const pmla_status failed = guarded(error, [&] {
    EventHandle &asked = checked(event, "event");
    const std::shared_ptr<Recording> recording = recordingOf(asked);
    const Recording::State state = asked.device.executor.stateOf(*recording);
    if (state == Recording::State::Failed) throw *recording->failure;
    if (state == Recording::State::Pending) status = PMLA_NOT_READY;
  });
  return failed == PMLA_OK ? status : failed;
}

pmla_status event_elapsed(pmla_event earlier, pmla_event later, double *microseconds, pmla_error *error) {
  return guarded(error, [&] {
    requirePointer(microseconds, "microseconds");
    std::chrono::steady_clock::time_point times[2];
    for (int i = 0; i < 2; i++) {
      EventHandle &event = checked(i == 0 ? earlier : later, i == 0 ? "earlier" : "later");
      const std::shared_ptr<Recording> recording = recordingOf(event);
      if (event.device.executor.stateOf(*recording) == Recording::State::Pending) {
        throw makeFailure(PMLA_INVALID_ARGUMENT, "",
                          "%s: expected an event that has happened, found one that has not",
                          i == 0 ? "earlier" : "later");
      }
      times[i] = recording->time;
    }
    *microseconds = std::chrono::duration<double, std::micro>(times[1] - times[0]).count();
  });
}

pmla_status event_notify(pmla_event event, void (*notify)(void *context), void *context, pmla_error *error) {
  return guarded(error, [&] {
    EventHandle &awaited = checked(event, "event");
    requirePointer(reinterpret_cast<const void *>(notify), "notify");
    auto listener = std::make_unique<Listener>();
    listener->notify = notify;
    listener->context = context;
    awaited.device.executor.listen(*recordingOf(awaited), std::move(listener));
  });
}

} // namespace polymla::entries
