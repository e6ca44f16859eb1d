/*
 * A device that really works: its memory is the host's and each stream is a thread that executes what was enqueued,
 * later than the call. Does mergeStates in f32 and copyPages; captures and replays.
 */
#include "common.h"
#include "memory-ops.h"
#include "memory-queue.h"
#include "rules.h"

#include <memory>
#include <new>
#include <string>

PMLA_ELF_NOTE;

struct pmla_device_s {
  int64_t latencyMs = 0;
  int64_t failStep = 0;
  int64_t limitBytes = int64_t{1} << 40;
  int report = REPORT_BYTES;
};
struct pmla_stream_s {
  pmla_device device;
  std::shared_ptr<Queue> queue = std::make_shared<Queue>();
  std::unique_ptr<std::vector<Step>> captured;
};
struct pmla_event_s {
  std::shared_ptr<Mark> mark;
};
struct pmla_graph_s {
  std::vector<Step> steps;
};
struct pmla_plan_s {
  union {
    pmla_merge_states_problem merge;
    pmla_copy_pages_problem copy;
  };
};

namespace {

/* Nothing thrown leaves the library. */
template <typename Body>
pmla_status guarded(pmla_error *error, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return fail(error, PMLA_OUT_OF_MEMORY, "the host is out of memory", "");
  } catch (const std::exception &thrown) {
    return fail(error, PMLA_INTERNAL, thrown.what(), "");
  }
}

/* Making a Step takes memory, too. */
template <typename Work>
pmla_status enqueue(pmla_stream stream, pmla_error *error, Work &&work) {
  return guarded(error, [&] {
    Step step(std::forward<Work>(work));
    if (stream->captured != nullptr) {
      stream->captured->push_back(std::move(step));
    } else {
      stream->queue->push({std::move(step), nullptr, nullptr});
    }
    return PMLA_OK;
  });
}

pmla_status illegal(pmla_error *error, const char *message) {
  return fail(error, PMLA_CAPTURE_ILLEGAL, message, "End the capture first");
}

pmla_status deviceCount(int32_t *count, pmla_error *) {
  *count = 1;
  return PMLA_OK;
}

pmla_status deviceInfo(int32_t index, pmla_device_info *info, pmla_error *error) {
  if (index != 0) return fail(error, PMLA_NO_DEVICE, "there is one device", "");
  pmla_device_info made = usableDevice("Host memory, a thread per stream");
  made.flags = PMLA_DEVICE_ADOPTS_MEMORY;
  return writeDeviceInfo(info, &made);
}

bool readOption(pmla_device device, const char *key, const char *value) {
  if (strcmp(key, "latency_ms") == 0) return parseNumber(value, &device->latencyMs);
  if (strcmp(key, "fail_step") == 0) return parseNumber(value, &device->failStep);
  if (strcmp(key, "limit_bytes") == 0) return parseNumber(value, &device->limitBytes);
  return strcmp(key, "report") == 0 && parseReport(value, &device->report);
}

pmla_status openDevice(int32_t index, const pmla_option *options, int32_t optionCount, pmla_device *device,
                       pmla_error *error) {
  if (index != 0) return fail(error, PMLA_NO_DEVICE, "there is one device", "");
  return guarded(error, [&] {
    auto made = std::make_unique<pmla_device_s>();
    for (int32_t i = 0; i < optionCount; i++) {
      if (!readOption(made.get(), options[i].key, options[i].value)) {
        return failOption(error, options[i].key, options[i].value);
      }
    }
    LIVE_ADD(devices, 1);
    *device = made.release();
    return pmla_status{PMLA_OK};
  });
}

void closeDevice(pmla_device device) {
  LIVE_ADD(devices, -1);
  delete device;
}

pmla_status memoryInfo(pmla_device device, uint64_t *total, uint64_t *available, pmla_error *) {
  return reportLive(device->report, total, available);
}

pmla_status alloc(pmla_device device, uint64_t bytes, void **memory, pmla_error *error) {
  if (bytes > static_cast<uint64_t>(device->limitBytes - LIVE(bytes))) {
    return fail(error, PMLA_OUT_OF_MEMORY, "the device is full", "Ask for less");
  }
  return hostAlloc(bytes, memory, error);
}

void release(pmla_device, void *memory) { hostRelease(memory); }

pmla_status streamNew(pmla_device device, void *native, pmla_stream *stream, pmla_error *error) {
  if (native != nullptr) return fail(error, PMLA_UNSUPPORTED, "there are no native streams", "");
  return guarded(error, [&] {
    auto made = std::make_unique<pmla_stream_s>();
    made->device = device;
    std::thread([queue = made->queue, latency = device->latencyMs, failStep = device->failStep] {
      queue->run(std::chrono::milliseconds(latency), failStep);
    }).detach();
    LIVE_ADD(streams, 1);
    *stream = made.release();
    return PMLA_OK;
  });
}

void streamFree(pmla_stream stream) {
  {
    std::lock_guard<std::mutex> lock(stream->queue->mutex);
    if (stream->queue->working || !stream->queue->entries.empty()) LIVE_ADD(misuses, 1);
    stream->queue->closing = true;
    stream->queue->changed.notify_one();
  }
  LIVE_ADD(streams, -1);
  delete stream;
}

pmla_status upload(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error) {
  if (stream->captured != nullptr) return illegal(error, "upload during capture");
  return guarded(error, [&] {
    const char *begin = static_cast<const char *>(source);
    return enqueue(stream, error, [target, staged = std::vector<char>(begin, begin + bytes)] {
      if (!staged.empty()) memcpy(target, staged.data(), staged.size());
    });
  });
}

pmla_status copy(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error) {
  return enqueue(stream, error, [=] { memcpy(target, source, bytes); });
}

pmla_status download(pmla_stream stream, void *target, const void *source, uint64_t bytes,
                     pmla_error *error) {
  if (stream->captured != nullptr) return illegal(error, "download during capture");
  return copy(stream, target, source, bytes, error);
}

pmla_status fill(pmla_stream stream, void *target, uint8_t value, uint64_t bytes, pmla_error *error) {
  return enqueue(stream, error, [=] { memset(target, value, bytes); });
}

pmla_status eventNew(pmla_device, pmla_event *event, pmla_error *error) {
  return guarded(error, [&] {
    *event = new pmla_event_s();
    LIVE_ADD(events, 1);
    return PMLA_OK;
  });
}

/* Whether an event was recorded and has not happened yet. */
bool isPending(pmla_event event) {
  if (event->mark == nullptr) return false;
  std::lock_guard<std::mutex> lock(event->mark->mutex);
  return !event->mark->done;
}

void eventFree(pmla_event event) {
  if (isPending(event)) LIVE_ADD(misuses, 1);
  LIVE_ADD(events, -1);
  delete event;
}

pmla_status eventRecord(pmla_event event, pmla_stream stream, pmla_error *error) {
  if (stream->captured != nullptr) return illegal(error, "an event recorded during capture");
  if (isPending(event)) LIVE_ADD(misuses, 1);
  return guarded(error, [&] {
    auto mark = std::make_shared<Mark>();
    stream->queue->push({nullptr, nullptr, [mark](bool failed) { mark->pass(failed); }});
    event->mark = std::move(mark);
    return PMLA_OK;
  });
}

pmla_status eventWait(pmla_event event, pmla_stream stream, pmla_error *error) {
  if (stream->captured != nullptr) return illegal(error, "a wait for an event during capture");
  return guarded(error, [&] {
    stream->queue->push({nullptr, [mark = event->mark] { return mark->waitAndFailed(); }, nullptr});
    return PMLA_OK;
  });
}

pmla_status eventQuery(pmla_event event, pmla_error *error) {
  std::lock_guard<std::mutex> lock(event->mark->mutex);
  if (!event->mark->done) return PMLA_NOT_READY;
  return event->mark->failed ? fail(error, PMLA_INTERNAL, "step failed, as option fail_step asks", "") : PMLA_OK;
}

pmla_status eventElapsed(pmla_event earlier, pmla_event later, double *microseconds, pmla_error *) {
  *microseconds = std::chrono::duration<double, std::micro>(later->mark->time - earlier->mark->time).count();
  return PMLA_OK;
}

[[maybe_unused]] pmla_status eventNotify(pmla_event event, void (*notify)(void *), void *context,
                                         pmla_error *error) {
  return guarded(error, [&] {
    {
      std::lock_guard<std::mutex> lock(event->mark->mutex);
      if (!event->mark->done) {
        event->mark->listeners.emplace_back(notify, context);
        return PMLA_OK;
      }
    }
    notify(context);
    return PMLA_OK;
  });
}

pmla_status captureBegin(pmla_stream stream, pmla_error *error) {
  if (stream->captured != nullptr) return illegal(error, "a capture is under way");
  return guarded(error, [&] {
    stream->captured = std::make_unique<std::vector<Step>>();
    return PMLA_OK;
  });
}

pmla_status captureEnd(pmla_stream stream, pmla_graph *graph, pmla_error *error) {
  return guarded(error, [&] {
    auto captured = std::move(stream->captured);
    *graph = new pmla_graph_s{std::move(*captured)};
    LIVE_ADD(graphs, 1);
    return PMLA_OK;
  });
}

pmla_status graphLaunch(pmla_graph graph, pmla_stream stream, pmla_error *error) {
  for (const Step &step : graph->steps) {
    pmla_status status = enqueue(stream, error, step);
    if (status != PMLA_OK) return status;
  }
  return PMLA_OK;
}

void graphFree(pmla_graph graph) {
  LIVE_ADD(graphs, -1);
  delete graph;
}

/* What of a legal problem is not done here, in words; empty when it is. */
std::string whyNot(const pmla_problem *problem) {
  if (problem->op == PMLA_OP_COPY_PAGES) return "";
  if (problem->op != PMLA_OP_MERGE_STATES) {
    return "op " + std::to_string(problem->op) + ": only mergeStates and copyPages are implemented";
  }
  pmla_merge_states_problem read;
  pmla_read(&read, sizeof read, problem, sizeof read);
  if (read.dtype == PMLA_F32 && read.out_dtype == PMLA_F32) return "";
  return "dtype " + std::to_string(read.dtype) + " to " + std::to_string(read.out_dtype) + ": only f32 is implemented";
}

pmla_status fit(pmla_device, const pmla_problem *problem, pmla_fit *answer, pmla_error *error) {
  const pmla_status legal = checkProblem(problem, error);
  if (legal != PMLA_OK) return legal;
  return guarded(error, [&] {
    const std::string why = whyNot(problem);
    pmla_fit made{};
    made.size = sizeof made;
    made.grade = why.empty() ? PMLA_FIT_CORRECT : PMLA_FIT_NO;
    snprintf(made.why, sizeof made.why, "%s", why.c_str());
    return pmla_write(answer, &made, sizeof made);
  });
}

pmla_status planNew(pmla_device, const pmla_problem *problem, pmla_plan *plan, pmla_error *error) {
  const pmla_status legal = checkProblem(problem, error);
  if (legal != PMLA_OK) return legal;
  return guarded(error, [&] {
    const std::string why = whyNot(problem);
    if (!why.empty()) return fail(error, PMLA_UNSUPPORTED, why.c_str(), "");
    auto made = std::make_unique<pmla_plan_s>();
    memset(made.get(), 0, sizeof *made);
    // Both structs are of the union; what was checked is there.
    pmla_read(made.get(), sizeof *made, problem, sizeof(pmla_problem));
    LIVE_ADD(plans, 1);
    *plan = made.release();
    return pmla_status{PMLA_OK};
  });
}

void planFree(pmla_plan plan) {
  LIVE_ADD(plans, -1);
  delete plan;
}

pmla_status mergeStates(pmla_plan plan, pmla_stream stream, const pmla_merge_states_args *args,
                        pmla_error *error) {
  return enqueue(stream, error, [problem = plan->merge, args = *args] { mergeRows(problem, args); });
}

pmla_status copyPages(pmla_plan plan, pmla_stream stream, const pmla_copy_pages_args *args,
                      pmla_error *error) {
  return enqueue(stream, error, [cache = plan->copy.cache, args = *args] { copyAll(cache, args); });
}

const pmla_library table = [] {
  pmla_library made{};
  made.size = sizeof made;
  made.abi_major = PMLA_ABI_MAJOR;
  made.abi_minor = PMLA_ABI_MINOR;
  made.name = "memory";
  made.version = "1.2.3";
  made.device_count = deviceCount;
  made.device_info = deviceInfo;
  made.open = openDevice;
  made.close = closeDevice;
  made.memory_info = memoryInfo;
  made.alloc = alloc;
  made.release = release;
  made.stream_new = streamNew;
  made.stream_free = streamFree;
  made.upload = upload;
  made.download = download;
  made.fill = fill;
  made.copy = copy;
  made.event_new = eventNew;
  made.event_free = eventFree;
  made.event_record = eventRecord;
  made.event_wait = eventWait;
  made.event_query = eventQuery;
  made.event_elapsed = eventElapsed;
#ifndef NO_NOTIFY
  made.event_notify = eventNotify;
#endif
  made.capture_begin = captureBegin;
  made.capture_end = captureEnd;
  made.graph_launch = graphLaunch;
  made.graph_free = graphFree;
  made.fit = fit;
  made.plan_new = planNew;
  made.plan_free = planFree;
  made.merge_states = mergeStates;
  made.copy_pages = copyPages;
  made.extension = countsExtension;
  return made;
}();

}  // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  const pmla_status status = checkHost(host, error);
  if (status == PMLA_OK) *library = &table;
  return status;
}
