// A device that is the host: memory from malloc, and everything done before a call returns. A port to hardware has its
// runtime's calls in these places, and nothing else in the library changes.
#pragma once

#include <polymla_backend.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace port {

/** Fills the caller's error as far as it knows one, and returns the status. */
inline pmla_status fail(pmla_error *error, pmla_status status, const char *message, const char *fix = "") {
  if (error == nullptr) return status;
  pmla_error made{};
  made.size = sizeof made;
  made.status = status;
  std::snprintf(made.message, sizeof made.message, "%s", message);
  std::snprintf(made.fix, sizeof made.fix, "%s", fix);
  pmla_write(error, &made, sizeof made);
  return status;
}

inline pmla_status outOfMemory(pmla_error *error) {
  return fail(error, PMLA_OUT_OF_MEMORY, "the device has no memory left", "Free some, or ask for less");
}

/** What of a device, a stream and an event there is, when everything happens at once. */
struct Handle {
  std::chrono::steady_clock::time_point time;
};

template <class H> pmla_status make(H *handle, pmla_error *error) {
  auto *made = new (std::nothrow) Handle();
  if (made == nullptr) return outOfMemory(error);
  *handle = reinterpret_cast<H>(made);
  return PMLA_OK;
}

template <class H> void drop(H handle) { delete reinterpret_cast<Handle *>(handle); }

/** The device's name and architecture, for the table's device_info. */
struct Description {
  const char *name, *arch;
};
inline Description description{"The host", "host"};

inline pmla_status deviceCount(int32_t *count, pmla_error *) {
  *count = 1;
  return PMLA_OK;
}

inline pmla_status noSuchDevice(pmla_error *error) {
  return fail(error, PMLA_NO_DEVICE, "there is one device, of index 0");
}

inline pmla_status deviceInfo(int32_t index, pmla_device_info *info, pmla_error *error) {
  if (index != 0) return noSuchDevice(error);
  pmla_device_info made{};
  made.size = sizeof made;
  made.status = PMLA_OK;
  made.score = 1;
  std::snprintf(made.name, sizeof made.name, "%s", description.name);
  std::snprintf(made.arch, sizeof made.arch, "%s", description.arch);
  return pmla_write(info, &made, sizeof made);
}

inline pmla_status open(int32_t index, const pmla_option *, int32_t options, pmla_device *device, pmla_error *error) {
  if (index != 0) return noSuchDevice(error);
  if (options > 0) return fail(error, PMLA_INVALID_ARGUMENT, "options: expected none");
  return make(device, error);
}

inline pmla_status alloc(pmla_device, uint64_t bytes, void **memory, pmla_error *error) {
  constexpr uint64_t LARGEST = uint64_t{1} << 44;
  void *made = bytes <= LARGEST ? std::aligned_alloc(256, (bytes + 255) / 256 * 256) : nullptr;
  if (made == nullptr) return outOfMemory(error);
  *memory = made;
  return PMLA_OK;
}

inline void release(pmla_device, void *memory) { std::free(memory); }

inline pmla_status streamNew(pmla_device, void *, pmla_stream *stream, pmla_error *error) { return make(stream, error); }

inline pmla_status transfer(pmla_stream, void *target, const void *source, uint64_t bytes, pmla_error *) {
  std::memcpy(target, source, bytes);
  return PMLA_OK;
}

inline pmla_status fill(pmla_stream, void *target, uint8_t value, uint64_t bytes, pmla_error *) {
  std::memset(target, value, bytes);
  return PMLA_OK;
}

inline pmla_status eventNew(pmla_device, pmla_event *event, pmla_error *error) { return make(event, error); }

inline Handle *handleOf(pmla_event event) { return reinterpret_cast<Handle *>(event); }

inline pmla_status eventRecord(pmla_event event, pmla_stream, pmla_error *) {
  handleOf(event)->time = std::chrono::steady_clock::now();
  return PMLA_OK;
}

inline pmla_status eventWait(pmla_event, pmla_stream, pmla_error *) { return PMLA_OK; }
inline pmla_status eventQuery(pmla_event, pmla_error *) { return PMLA_OK; }

inline pmla_status eventElapsed(pmla_event earlier, pmla_event later, double *microseconds, pmla_error *) {
  *microseconds = std::chrono::duration<double, std::micro>(handleOf(later)->time - handleOf(earlier)->time).count();
  return PMLA_OK;
}

inline pmla_status eventNotify(pmla_event, void (*notify)(void *), void *context, pmla_error *) {
  notify(context);
  return PMLA_OK;
}

/** A table with all of the above; `fit`, plans and launches are the library's. */
inline pmla_library makeTable(const char *name) {
  pmla_library t{};
  t.size = sizeof t;
  t.abi_major = PMLA_ABI_MAJOR;
  t.abi_minor = PMLA_ABI_MINOR;
  t.name = name;
  t.version = "0.1.0";
  t.device_count = deviceCount;
  t.device_info = deviceInfo;
  t.open = open;
  t.close = [](pmla_device device) { drop(device); };
  t.alloc = alloc;
  t.release = release;
  t.stream_new = streamNew;
  t.stream_free = [](pmla_stream stream) { drop(stream); };
  t.upload = t.download = t.copy = transfer;
  t.fill = fill;
  t.event_new = eventNew;
  t.event_free = [](pmla_event event) { drop(event); };
  t.event_record = eventRecord;
  t.event_wait = eventWait;
  t.event_query = eventQuery;
  t.event_elapsed = eventElapsed;
  t.event_notify = eventNotify;
  return t;
}

inline pmla_status enter(const pmla_host *host, const pmla_library *table, const pmla_library **library,
                         pmla_error *error) {
  if (host == nullptr || host->abi_major != PMLA_ABI_MAJOR) {
    return fail(error, PMLA_ABI_MISMATCH, "the host has another major version of the ABI", "Update the port");
  }
  *library = table;
  return PMLA_OK;
}

/** An answer of fit: no, and why. */
inline pmla_status refuse(pmla_fit *fit, const char *why) {
  pmla_fit made{};
  made.size = sizeof made;
  made.grade = PMLA_FIT_NO;
  std::snprintf(made.why, sizeof made.why, "%s", why);
  return pmla_write(fit, &made, sizeof made);
}

/** An answer of fit: yes, without a tile schedule. */
inline pmla_status accept(pmla_fit *fit, uint64_t workspaceBytes = 0) {
  pmla_fit made{};
  made.size = sizeof made;
  made.grade = PMLA_FIT_CORRECT;
  made.workspace_bytes = workspaceBytes;
  return pmla_write(fit, &made, sizeof made);
}

} // namespace port
