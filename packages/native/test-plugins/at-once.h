/*
 * A device on which everything has happened before the call returns: copies are done by the caller, launches do
 * nothing. The base of the plugins that are about calls and not about work; they change members of `atOnceLibrary`.
 */
#pragma once

#include "common.h"
#include "rules.h"

#include <time.h>

struct pmla_device_s {
  int32_t index;
  /* Answers of `fit`. */
  int64_t partitions, workspaceBytes;
  int report;
  /* For faulty.c. */
  int fault;
  int64_t delayMs, creations, failsAt;
  int lost;
};
struct pmla_stream_s {
  pmla_device device;
  /* How its work failed, which is sticky. */
  pmla_status failure;
  char message[256];
};
struct pmla_event_s {
  pmla_device device;
  pmla_status failure;
  char message[256];
  double microseconds;
};
struct pmla_plan_s {
  pmla_device device;
};
struct pmla_graph_s {
  pmla_device device;
};

static inline pmla_status outOfMemory(pmla_error *error) {
  return fail(error, PMLA_OUT_OF_MEMORY, "the host is out of memory", "");
}

static inline pmla_status deviceCount(int32_t *count, pmla_error *error) {
  (void)error;
  *count = 1;
  return PMLA_OK;
}

static inline pmla_status deviceInfo(int32_t index, pmla_device_info *info, pmla_error *error) {
  pmla_device_info made = usableDevice("Everything happens at once");
  if (index != 0) return fail(error, PMLA_NO_DEVICE, "there is one device", "");
  made.flags = PMLA_DEVICE_ADOPTS_STREAMS | PMLA_DEVICE_ADOPTS_MEMORY;
  return writeDeviceInfo(info, &made);
}

/* 1 when the option is one of those that all plugins on this base know, 0 when not, −1 when its value is wrong. */
static inline int readOption(pmla_device device, const char *key, const char *value) {
  if (strcmp(key, "partitions") == 0) return parseNumber(value, &device->partitions) ? 1 : -1;
  if (strcmp(key, "workspace_bytes") == 0) return parseNumber(value, &device->workspaceBytes) ? 1 : -1;
  if (strcmp(key, "report") == 0) return parseReport(value, &device->report) ? 1 : -1;
  return 0;
}

static inline pmla_status openDevice(int32_t index, const pmla_option *options, int32_t optionCount,
                                     pmla_device *device, pmla_error *error) {
  pmla_device made;
  if (index != 0) return fail(error, PMLA_NO_DEVICE, "there is one device", "");
  made = (pmla_device)calloc(1, sizeof *made);
  if (made == NULL) return outOfMemory(error);
  made->index = index;
  for (int32_t i = 0; i < optionCount; i++) {
    if (readOption(made, options[i].key, options[i].value) != 1) {
      free(made);
      return failOption(error, options[i].key, options[i].value);
    }
  }
  LIVE_ADD(devices, 1);
  *device = made;
  return PMLA_OK;
}

static inline void closeDevice(pmla_device device) {
  LIVE_ADD(devices, -1);
  free(device);
}

static inline pmla_status memoryInfo(pmla_device device, uint64_t *total, uint64_t *available,
                                     pmla_error *error) {
  (void)error;
  return reportLive(device->report, total, available);
}

static inline pmla_status alloc(pmla_device device, uint64_t bytes, void **memory, pmla_error *error) {
  (void)device;
  return hostAlloc(bytes, memory, error);
}

static inline void release(pmla_device device, void *memory) {
  (void)device;
  hostRelease(memory);
}

static inline pmla_status streamNew(pmla_device device, void *native, pmla_stream *stream,
                                    pmla_error *error) {
  pmla_stream made = (pmla_stream)calloc(1, sizeof *made);
  (void)native;
  if (made == NULL) return outOfMemory(error);
  made->device = device;
  LIVE_ADD(streams, 1);
  *stream = made;
  return PMLA_OK;
}

static inline void streamFree(pmla_stream stream) {
  LIVE_ADD(streams, -1);
  free(stream);
}

static inline pmla_status copyBytes(pmla_stream stream, void *target, const void *source, uint64_t bytes,
                                    pmla_error *error) {
  (void)stream;
  (void)error;
  memcpy(target, source, (size_t)bytes);
  return PMLA_OK;
}

static inline pmla_status fillBytes(pmla_stream stream, void *target, uint8_t value, uint64_t bytes,
                                    pmla_error *error) {
  (void)stream;
  (void)error;
  memset(target, value, (size_t)bytes);
  return PMLA_OK;
}

static inline pmla_status eventNew(pmla_device device, pmla_event *event, pmla_error *error) {
  pmla_event made = (pmla_event)calloc(1, sizeof *made);
  if (made == NULL) return outOfMemory(error);
  made->device = device;
  LIVE_ADD(events, 1);
  *event = made;
  return PMLA_OK;
}

static inline void eventFree(pmla_event event) {
  LIVE_ADD(events, -1);
  free(event);
}

static inline pmla_status eventRecord(pmla_event event, pmla_stream stream, pmla_error *error) {
  struct timespec now;
  (void)error;
  clock_gettime(CLOCK_MONOTONIC, &now);
  event->microseconds = (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
  event->failure = stream->failure;
  memcpy(event->message, stream->message, sizeof event->message);
  return PMLA_OK;
}

static inline pmla_status eventWait(pmla_event event, pmla_stream stream, pmla_error *error) {
  (void)error;
  if (stream->failure == PMLA_OK && event->failure != PMLA_OK) {
    stream->failure = event->failure;
    memcpy(stream->message, event->message, sizeof stream->message);
  }
  return PMLA_OK;
}

static inline pmla_status eventQuery(pmla_event event, pmla_error *error) {
  return event->failure == PMLA_OK ? PMLA_OK : fail(error, event->failure, event->message, "");
}

static inline pmla_status eventElapsed(pmla_event earlier, pmla_event later, double *microseconds,
                                       pmla_error *error) {
  (void)error;
  *microseconds = later->microseconds - earlier->microseconds;
  return PMLA_OK;
}

static inline pmla_status eventNotify(pmla_event event, void (*notify)(void *context), void *context,
                                      pmla_error *error) {
  (void)event;
  (void)error;
  notify(context);
  return PMLA_OK;
}

static inline pmla_status captureBegin(pmla_stream stream, pmla_error *error) {
  (void)stream;
  (void)error;
  return PMLA_OK;
}

static inline pmla_status captureEnd(pmla_stream stream, pmla_graph *graph, pmla_error *error) {
  pmla_graph made = (pmla_graph)calloc(1, sizeof *made);
  if (made == NULL) return outOfMemory(error);
  made->device = stream->device;
  LIVE_ADD(graphs, 1);
  *graph = made;
  return PMLA_OK;
}

static inline pmla_status graphLaunch(pmla_graph graph, pmla_stream stream, pmla_error *error) {
  (void)graph;
  (void)stream;
  (void)error;
  return PMLA_OK;
}

static inline void graphFree(pmla_graph graph) {
  LIVE_ADD(graphs, -1);
  free(graph);
}

static inline pmla_status fit(pmla_device device, const pmla_problem *problem, pmla_fit *answer,
                              pmla_error *error) {
  pmla_fit made;
  const pmla_status status = checkProblem(problem, error);
  if (status != PMLA_OK) return status;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  made.grade = PMLA_FIT_TUNED;
  made.workspace_bytes = (uint64_t)device->workspaceBytes;
  if (problem->op == PMLA_OP_DECODE || problem->op == PMLA_OP_SPARSE_DECODE) {
    made.max_partitions = device->partitions;
    made.fixed_overhead = 5;
    made.flags = device->partitions > 0 ? PMLA_FIT_SCHEDULES : 0;
  }
  return pmla_write(answer, &made, sizeof made);
}

static inline pmla_status planNew(pmla_device device, const pmla_problem *problem, pmla_plan *plan,
                                  pmla_error *error) {
  pmla_plan made;
  const pmla_status status = checkProblem(problem, error);
  if (status != PMLA_OK) return status;
  made = (pmla_plan)calloc(1, sizeof *made);
  if (made == NULL) return outOfMemory(error);
  made->device = device;
  LIVE_ADD(plans, 1);
  *plan = made;
  return PMLA_OK;
}

static inline void planFree(pmla_plan plan) {
  LIVE_ADD(plans, -1);
  free(plan);
}

static inline pmla_status choose(pmla_plan plan, const pmla_load *load, pmla_choice *choice,
                                 pmla_error *error) {
  pmla_choice made;
  (void)load;
  (void)error;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  made.partitions = plan->device->partitions;
  made.fixed_overhead = 5;
  return pmla_write(choice, &made, sizeof made);
}

static inline pmla_status schedule(pmla_plan plan, pmla_stream stream, const pmla_schedule_args *args,
                                   pmla_error *error) {
  (void)plan;
  (void)stream;
  (void)args;
  (void)error;
  return PMLA_OK;
}

/* A launch of every op is this one, for a given type of its arguments. */
#define LAUNCH(name, args_type)                                                                \
  static inline pmla_status name(pmla_plan plan, pmla_stream stream, const args_type *args,    \
                                 pmla_error *error) {                                          \
    (void)args;                                                                                \
    return launch(plan, stream, #name, error);                                                 \
  }

#ifndef AT_ONCE_OWN_LAUNCH
static inline pmla_status launch(pmla_plan plan, pmla_stream stream, const char *kernel, pmla_error *error) {
  (void)plan;
  (void)stream;
  (void)kernel;
  (void)error;
  return PMLA_OK;
}
#else
static pmla_status launch(pmla_plan plan, pmla_stream stream, const char *kernel, pmla_error *error);
#endif

LAUNCH(decode, pmla_decode_args)
LAUNCH(sparse_decode, pmla_sparse_decode_args)
LAUNCH(sparse_prefill, pmla_sparse_prefill_args)
LAUNCH(append_kv, pmla_append_kv_args)
LAUNCH(merge_states, pmla_merge_states_args)
LAUNCH(copy_pages, pmla_copy_pages_args)

static inline pmla_status measurePeaks(pmla_device device, pmla_peaks *peaks, pmla_error *error) {
  pmla_peaks made;
  (void)device;
  (void)error;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  made.read_bytes_per_s = 1e9;
  made.f32_flops_per_s = 2e9;
  return pmla_write(peaks, &made, sizeof made);
}

static inline pmla_library atOnceLibrary(const char *name) {
  pmla_library table;
  memset(&table, 0, sizeof table);
  table.size = sizeof table;
  table.abi_major = PMLA_ABI_MAJOR;
  table.abi_minor = PMLA_ABI_MINOR;
  table.name = name;
  table.version = "1.2.3";
  table.device_count = deviceCount;
  table.device_info = deviceInfo;
  table.open = openDevice;
  table.close = closeDevice;
  table.memory_info = memoryInfo;
  table.alloc = alloc;
  table.release = release;
  table.stream_new = streamNew;
  table.stream_free = streamFree;
  table.upload = copyBytes;
  table.download = copyBytes;
  table.fill = fillBytes;
  table.copy = copyBytes;
  table.event_new = eventNew;
  table.event_free = eventFree;
  table.event_record = eventRecord;
  table.event_wait = eventWait;
  table.event_query = eventQuery;
  table.event_elapsed = eventElapsed;
  table.event_notify = eventNotify;
  table.capture_begin = captureBegin;
  table.capture_end = captureEnd;
  table.graph_launch = graphLaunch;
  table.graph_free = graphFree;
  table.fit = fit;
  table.plan_new = planNew;
  table.plan_free = planFree;
  table.choose = choose;
  table.schedule = schedule;
  table.decode = decode;
  table.sparse_decode = sparse_decode;
  table.sparse_prefill = sparse_prefill;
  table.append_kv = append_kv;
  table.merge_states = merge_states;
  table.copy_pages = copy_pages;
  table.measure_peaks = measurePeaks;
  table.extension = countsExtension;
  return table;
}
