#include "failure-of.h"
#include "kit/entries.h"
#include "handles.h"

namespace polymla::entries {
namespace {

void requireRecorded(const EventHandle& event) {
  if (event.recorded) return;
  throw makeFailure(PMLA_INVALID_ARGUMENT, "", "event: expected one that was recorded, found one that was not");
}

}  // namespace

pmla_status event_new(pmla_device device, pmla_event* event, pmla_error* error) {
  return guardedOn(device, "device", error, [&](Device& open) {
    requirePointer(event, "event");
    std::unique_ptr<EventHandle> made(new EventHandle{open, nullptr});
    POLYMLA_REQUIRE(PMLA_RT(EventCreate)(&made->event));
    *event = toHandle(made.release());
  });
}

void event_free(pmla_event event) {
  freeHandle(event, [](const EventHandle& handle) { static_cast<void>(PMLA_RT(EventDestroy)(handle.event)); });
}

pmla_status event_record(pmla_event event, pmla_stream stream, pmla_error* error) {
  return guardedOn(event, "event", error, [&](EventHandle& marks) {
    const StreamHandle& on = requireSameDevice(marks.device, pointed(stream), "stream");
    requireNoCapture(on.captures, "event_record");
    POLYMLA_REQUIRE(PMLA_RT(EventRecord)(marks.event, on.stream));
    marks.recorded = true;
  });
}

pmla_status event_wait(pmla_event event, pmla_stream stream, pmla_error* error) {
  return guardedOn(event, "event", error, [&](const EventHandle& awaited) {
    const StreamHandle& on = requireSameDevice(awaited.device, pointed(stream), "stream");
    requireNoCapture(on.captures, "event_wait");
    requireRecorded(awaited);
    POLYMLA_REQUIRE(PMLA_RT(StreamWaitEvent)(on.stream, awaited.event, 0));
  });
}

pmla_status event_query(pmla_event event, pmla_error* error) {
  bool pending = false;
  const pmla_status failed = guardedOn(event, "event", error, [&](const EventHandle& asked) {
    requireRecorded(asked);
    const rt::Error code = PMLA_RT(EventQuery)(asked.event);
    pending = code == PMLA_RT(ErrorNotReady);
    if (!pending) requireRuntime(code, "PMLA_RT(EventQuery)");
  });
  return failed == PMLA_OK && pending ? PMLA_NOT_READY : failed;
}

pmla_status event_elapsed(pmla_event earlier, pmla_event later, double* microseconds, pmla_error* error) {
  return guardedOn(earlier, "earlier", error, [&](const EventHandle& from) {
    const EventHandle& to = requireSameDevice(from.device, pointed(later), "later");
    requirePointer(microseconds, "microseconds");
    requireRecorded(from);
    requireRecorded(to);
    float milliseconds;
    POLYMLA_REQUIRE(PMLA_RT(EventElapsedTime)(&milliseconds, from.event, to.event));
    *microseconds = 1000.0 * static_cast<double>(milliseconds);
  });
}

}  // namespace polymla::entries
