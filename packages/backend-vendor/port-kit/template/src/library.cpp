// A library without a device: every member that must be there is, and says that there is none.
#include <polymla_backend.h>

#include <cstddef>
#include <cstdio>

PMLA_ELF_NOTE;

// The layout is the ABI: a compiler that lays structs out otherwise is found out here.
static_assert(sizeof(pmla_kv_layout) == 48 && sizeof(pmla_schedule) == 16, "");
static_assert(offsetof(pmla_error, message) == 16 && sizeof(pmla_error) == 448, "");
static_assert(offsetof(pmla_decode_problem, cache) == 72, "");
static_assert(offsetof(pmla_library, device_count) == 32, "");

namespace {

/** Fills the caller's error as far as it knows one, and returns the status. */
pmla_status fail(pmla_error *error, pmla_status status, const char *message, const char *fix) {
  if (error == nullptr) return status;
  pmla_error made{};
  made.size = sizeof made;
  made.status = status;
  std::snprintf(made.message, sizeof made.message, "%s", message);
  std::snprintf(made.fix, sizeof made.fix, "%s", fix);
  pmla_write(error, &made, sizeof made);
  return status;
}

pmla_status noDevice(pmla_error *error) {
  return fail(error, PMLA_NO_DEVICE, "no device of @NAME@ was found: this port has no code for one yet",
              "Fill in src/library.cpp");
}

pmla_status deviceCount(int32_t *, pmla_error *error) { return noDevice(error); }
pmla_status deviceInfo(int32_t, pmla_device_info *, pmla_error *error) { return noDevice(error); }
pmla_status open(int32_t, const pmla_option *, int32_t, pmla_device *, pmla_error *error) { return noDevice(error); }

// Without an open device nothing below is ever called; the host wants it to be there.
void close(pmla_device) {}
pmla_status alloc(pmla_device, uint64_t, void **, pmla_error *error) { return noDevice(error); }
void release(pmla_device, void *) {}
pmla_status streamNew(pmla_device, void *, pmla_stream *, pmla_error *error) { return noDevice(error); }
void streamFree(pmla_stream) {}
pmla_status transfer(pmla_stream, void *, const void *, uint64_t, pmla_error *error) { return noDevice(error); }
pmla_status fill(pmla_stream, void *, uint8_t, uint64_t, pmla_error *error) { return noDevice(error); }
pmla_status eventNew(pmla_device, pmla_event *, pmla_error *error) { return noDevice(error); }
void eventFree(pmla_event) {}
pmla_status eventOnStream(pmla_event, pmla_stream, pmla_error *error) { return noDevice(error); }
pmla_status eventQuery(pmla_event, pmla_error *error) { return noDevice(error); }
pmla_status eventElapsed(pmla_event, pmla_event, double *, pmla_error *error) { return noDevice(error); }
pmla_status fit(pmla_device, const pmla_problem *, pmla_fit *, pmla_error *error) { return noDevice(error); }
pmla_status planNew(pmla_device, const pmla_problem *, pmla_plan *, pmla_error *error) { return noDevice(error); }
void planFree(pmla_plan) {}

const pmla_library table = [] {
  pmla_library t{};
  t.size = sizeof t;
  t.abi_major = PMLA_ABI_MAJOR;
  t.abi_minor = PMLA_ABI_MINOR;
  t.name = "@NAME@";
  t.version = "0.1.0";
  t.device_count = deviceCount;
  t.device_info = deviceInfo;
  t.open = open;
  t.close = close;
  t.alloc = alloc;
  t.release = release;
  t.stream_new = streamNew;
  t.stream_free = streamFree;
  t.upload = t.download = t.copy = transfer;
  t.fill = fill;
  t.event_new = eventNew;
  t.event_free = eventFree;
  t.event_record = t.event_wait = eventOnStream;
  t.event_query = eventQuery;
  t.event_elapsed = eventElapsed;
  t.fit = fit;
  t.plan_new = planNew;
  t.plan_free = planFree;
  return t;
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  if (host == nullptr || host->abi_major != PMLA_ABI_MAJOR) {
    return fail(error, PMLA_ABI_MISMATCH, "the host has another major version of the ABI", "Update the port");
  }
  *library = &table;
  return PMLA_OK;
}
