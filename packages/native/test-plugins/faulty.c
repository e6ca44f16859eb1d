/*
 * A device that misbehaves as its option `fault` says. Index 0 works otherwise; 1 is unusable and says why; 2 is
 * unusable and fills its texts to the last byte, without a NUL and not in UTF-8.
 */
#define AT_ONCE_OWN_LAUNCH
#include "at-once.h"

PMLA_ELF_NOTE;

#define FAULTS(FAULT) \
  FAULT(FAULT_NONE, "none") \
  FAULT(FAULT_OPEN_FAILS, "open-fails") \
  FAULT(FAULT_SLOW_OPEN, "slow-open") \
  FAULT(FAULT_ALLOC_OOM, "alloc-oom") \
  FAULT(FAULT_OOM_AT, "oom-at") \
  FAULT(FAULT_PLAN_OOM, "plan-oom") \
  FAULT(FAULT_EVENT_NEVER, "event-never") \
  FAULT(FAULT_LAUNCH_FAILS, "launch-fails") \
  FAULT(FAULT_ASYNC_FAILURE, "async-failure") \
  FAULT(FAULT_DEVICE_LOST, "device-lost") \
  FAULT(FAULT_GARBAGE_STATUS, "garbage-status") \
  FAULT(FAULT_UNTERMINATED_TEXT, "unterminated-text") \
  FAULT(FAULT_SILENT, "silent") \
  FAULT(FAULT_FIT_ABSURD, "fit-absurd") \
  FAULT(FAULT_FIT_NO, "fit-no") \
  FAULT(FAULT_FIT_UNKNOWN, "fit-unknown") \
  FAULT(FAULT_FIT_FAILS, "fit-fails") \
  FAULT(FAULT_CHOOSE_ABSURD, "choose-absurd") \
  FAULT(FAULT_CAPTURE_FAILS, "capture-fails")

#define ENUM_OF(fault, name) fault,
#define NAME_OF(fault, name) name,
enum Fault { FAULTS(ENUM_OF) FAULT_COUNT };
static const char *const faultNames[FAULT_COUNT] = {FAULTS(NAME_OF)};

static const pmla_host *host_;

static pmla_status lost(pmla_error *error) {
  return fail(error, PMLA_DEVICE_LOST, "the device has fallen off the bus", "Restart the machine");
}

/* Whether this is the creation that `oom-at` lets fail, counted from 0 for each device. */
static int failsNow(pmla_device device) {
  return device->fault == FAULT_OOM_AT &&
         __atomic_fetch_add(&device->creations, 1, __ATOMIC_RELAXED) == device->failsAt;
}

static pmla_status faultyCount(int32_t *count, pmla_error *error) {
  (void)error;
  *count = 3;
  return PMLA_OK;
}

static pmla_status faultyInfo(int32_t index, pmla_device_info *info, pmla_error *error) {
  pmla_device_info made = usableDevice("Misbehaves");
  if (index < 0 || index > 2) return fail(error, PMLA_NO_DEVICE, "there are three devices", "");
  if (index == 1) {
    made.status = PMLA_DRIVER_TOO_OLD;
    snprintf(made.reason, sizeof made.reason, "driver 450.80 is older than 525.60");
    snprintf(made.fix, sizeof made.fix, "Update the driver");
  } else if (index == 2) {
    made.status = PMLA_DEVICE_UNAVAILABLE;
    memset(made.name, 0xff, sizeof made.name);
    memset(made.arch, 0xff, sizeof made.arch);
    memset(made.reason, 0xff, sizeof made.reason);
    memset(made.fix, 0xff, sizeof made.fix);
  }
  return writeDeviceInfo(info, &made);
}

static int readFault(pmla_device device, const char *name) {
  for (int fault = 0; fault < FAULT_COUNT; fault++) {
    if (strcmp(name, faultNames[fault]) != 0) continue;
    device->fault = fault;
    return 1;
  }
  return -1;
}

static int readFaultyOption(pmla_device device, const char *key, const char *value) {
  if (strcmp(key, "fault") == 0) return readFault(device, value);
  if (strcmp(key, "delay_ms") == 0) return parseNumber(value, &device->delayMs) ? 1 : -1;
  if (strcmp(key, "log") == 0) {
    if (host_ != NULL && host_->log != NULL) host_->log(host_->log_context, PMLA_LOG_WARN, value);
    return 1;
  }
  if (strcmp(key, "at") == 0) return parseNumber(value, &device->failsAt) ? 1 : -1;
  return readOption(device, key, value);
}

static pmla_status faultyOpen(int32_t index, const pmla_option *options, int32_t optionCount, pmla_device *device,
                              pmla_error *error) {
  pmla_device made = (pmla_device)calloc(1, sizeof *made);
  if (made == NULL) return outOfMemory(error);
  made->index = index;
  for (int32_t i = 0; i < optionCount; i++) {
    if (readFaultyOption(made, options[i].key, options[i].value) != 1) {
      free(made);
      return failOption(error, options[i].key, options[i].value);
    }
  }
  if (made->fault == FAULT_OPEN_FAILS || index != 0) {
    free(made);
    return fail(error, PMLA_DEVICE_UNAVAILABLE, "the device is held by another process", "End that process");
  }
  if (made->fault == FAULT_SLOW_OPEN) {
    struct timespec delay = {(time_t)(made->delayMs / 1000), (long)(made->delayMs % 1000 * 1000000)};
    nanosleep(&delay, NULL);
  }
  LIVE_ADD(devices, 1);
  *device = made;
  return PMLA_OK;
}

static pmla_status faultyAlloc(pmla_device device, uint64_t bytes, void **memory, pmla_error *error) {
  if (device->lost) return lost(error);
  if (device->fault == FAULT_ALLOC_OOM || failsNow(device)) {
    return fail(error, PMLA_OUT_OF_MEMORY, "the device is full", "Ask for less");
  }
  if (device->fault == FAULT_GARBAGE_STATUS) return 12345;
  return alloc(device, bytes, memory, error);
}

static pmla_status faultyStreamNew(pmla_device device, void *native, pmla_stream *stream, pmla_error *error) {
  if (device->lost) return lost(error);
  return failsNow(device) ? outOfMemory(error) : streamNew(device, native, stream, error);
}

static pmla_status faultyEventNew(pmla_device device, pmla_event *event, pmla_error *error) {
  if (device->lost) return lost(error);
  return failsNow(device) ? outOfMemory(error) : eventNew(device, event, error);
}

static pmla_status faultyCopy(pmla_stream stream, void *target, const void *source, uint64_t bytes,
                              pmla_error *error) {
  return stream->device->lost ? lost(error) : copyBytes(stream, target, source, bytes, error);
}

static pmla_status faultyFill(pmla_stream stream, void *target, uint8_t value, uint64_t bytes,
                              pmla_error *error) {
  return stream->device->lost ? lost(error) : fillBytes(stream, target, value, bytes, error);
}

static pmla_status faultyEventRecord(pmla_event event, pmla_stream stream, pmla_error *error) {
  return stream->device->lost ? lost(error) : eventRecord(event, stream, error);
}

static pmla_status faultyEventWait(pmla_event event, pmla_stream stream, pmla_error *error) {
  return stream->device->lost ? lost(error) : eventWait(event, stream, error);
}

static pmla_status faultyEventQuery(pmla_event event, pmla_error *error) {
  if (event->device->lost) return lost(error);
  return event->device->fault == FAULT_EVENT_NEVER ? PMLA_NOT_READY : eventQuery(event, error);
}

static pmla_status faultyEventNotify(pmla_event event, void (*notify)(void *context), void *context,
                                     pmla_error *error) {
  if (event->device->fault == FAULT_EVENT_NEVER) return PMLA_OK;
  return eventNotify(event, notify, context, error);
}

static pmla_status faultyCaptureEnd(pmla_stream stream, pmla_graph *graph, pmla_error *error) {
  if (stream->device->fault == FAULT_CAPTURE_FAILS) {
    return fail(error, PMLA_CAPTURE_ILLEGAL, "a captured call synchronised the device", "");
  }
  return failsNow(stream->device) ? outOfMemory(error) : captureEnd(stream, graph, error);
}

static pmla_status faultyFit(pmla_device device, const pmla_problem *problem, pmla_fit *answer,
                             pmla_error *error) {
  pmla_fit made;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  if (device->lost) return lost(error);
  switch (device->fault) {
    case FAULT_FIT_FAILS:
      return fail(error, PMLA_INTERNAL, "the table of kernels is empty", "Report it");
    case FAULT_FIT_NO:
      snprintf(made.why, sizeof made.why, "heads 7: only multiples of 8 are implemented");
      return pmla_write(answer, &made, sizeof made);
    case FAULT_FIT_UNKNOWN:
      return fail(error, PMLA_UNSUPPORTED, "format 9 of the cache is not known", "");
    case FAULT_FIT_ABSURD:
      made.grade = 77;
      made.workspace_bytes = UINT64_MAX;
      made.max_partitions = -5;
      made.fixed_overhead = INT64_MIN;
      made.flags = UINT32_MAX;
      return pmla_write(answer, &made, sizeof made);
    default:
      return fit(device, problem, answer, error);
  }
}

static pmla_status faultyPlanNew(pmla_device device, const pmla_problem *problem, pmla_plan *plan,
                                 pmla_error *error) {
  if (device->lost) return lost(error);
  if (device->fault == FAULT_PLAN_OOM || failsNow(device)) return outOfMemory(error);
  return planNew(device, problem, plan, error);
}

static pmla_status faultyChoose(pmla_plan plan, const pmla_load *load, pmla_choice *choice,
                                pmla_error *error) {
  pmla_choice made = {sizeof made, 0, INT64_MAX, -1};
  if (plan->device->fault != FAULT_CHOOSE_ABSURD) return choose(plan, load, choice, error);
  return pmla_write(choice, &made, sizeof made);
}

static pmla_status launch(pmla_plan plan, pmla_stream stream, const char *kernel, pmla_error *error) {
  pmla_device device = plan->device;
  switch (device->fault) {
    case FAULT_LAUNCH_FAILS:
      return fail(error, PMLA_UNSUPPORTED, "q_strides[2] = 1: only multiples of 8 are implemented",
                  "Copy q first");
    case FAULT_ASYNC_FAILURE:
      if (stream->failure != PMLA_OK) return PMLA_OK;
      stream->failure = PMLA_INTERNAL;
      snprintf(stream->message, sizeof stream->message, "kernel %s read outside of its memory", kernel);
      return PMLA_OK;
    case FAULT_DEVICE_LOST:
      device->lost = 1;
      return lost(error);
    case FAULT_GARBAGE_STATUS:
      return -2147483647;
    case FAULT_UNTERMINATED_TEXT:
      if (error != NULL) {
        error->status = PMLA_INTERNAL;
        memset(error->message, 0xff, sizeof error->message);
        memset(error->fix, 'x', sizeof error->fix);
      }
      return PMLA_INTERNAL;
    case FAULT_SILENT:
      return PMLA_INTERNAL;
    default:
      return PMLA_OK;
  }
}

static pmla_library table;

__attribute__((constructor)) static void makeTable(void) {
  table = atOnceLibrary("faulty");
  table.device_count = faultyCount;
  table.device_info = faultyInfo;
  table.open = faultyOpen;
  table.alloc = faultyAlloc;
  table.stream_new = faultyStreamNew;
  table.upload = faultyCopy;
  table.download = faultyCopy;
  table.fill = faultyFill;
  table.copy = faultyCopy;
  table.event_new = faultyEventNew;
  table.event_record = faultyEventRecord;
  table.event_wait = faultyEventWait;
  table.event_query = faultyEventQuery;
  table.event_notify = faultyEventNotify;
  table.capture_end = faultyCaptureEnd;
  table.fit = faultyFit;
  table.plan_new = faultyPlanNew;
  table.choose = faultyChoose;
}

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  (void)error;
  host_ = host;
  *library = &table;
  return PMLA_OK;
}
