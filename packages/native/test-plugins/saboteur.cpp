/*
 * Another library, spoilt: everything is done by the one at POLYMLA_SABOTAGE_OF, but for one thing, which POLYMLA_SABOTAGE
 * names. It shows that each check of the ABI suite fails where it should.
 */
#include <polymla_backend.h>

#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

PMLA_ELF_NOTE;

namespace {

pmla_library good, spoilt;

bool is(const char *fault) {
  const char *chosen = getenv("POLYMLA_SABOTAGE");
  return chosen != nullptr && strcmp(chosen, fault) == 0;
}

void pause(long milliseconds) {
  const timespec time{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  nanosleep(&time, nullptr);
}

pmla_status anyIndexInfo(int32_t, pmla_device_info *info, pmla_error *error) {
  return good.device_info(0, info, error);
}

pmla_status infoPastEnd(int32_t index, pmla_device_info *info, pmla_error *error) {
  pmla_device_info whole;
  whole.size = sizeof whole;
  const pmla_status status = good.device_info(index, &whole, error);
  if (status == PMLA_OK) memcpy(&info->status, &whole.status, sizeof whole - sizeof whole.size);
  return status;
}

pmla_status silentOpen(int32_t index, const pmla_option *options, int32_t count, pmla_device *device, pmla_error *) {
  return good.open(index, options, count, device, nullptr);
}

pmla_status chattyOpen(int32_t index, const pmla_option *options, int32_t count, pmla_device *device,
                       pmla_error *error) {
  const pmla_status status = good.open(index, options, count, device, error);
  if (status == PMLA_OK && error != nullptr) strcpy(error->message, "all is well");
  return status;
}

pmla_status greedyFit(pmla_device device, const pmla_problem *problem, pmla_fit *fit, pmla_error *error) {
  pmla_decode_problem whole;
  memcpy(&whole, problem, sizeof whole);
  if (problem->size < sizeof whole && problem->op == PMLA_OP_DECODE) whole.size = sizeof whole;
  return good.fit(device, problem->op == PMLA_OP_DECODE ? (const pmla_problem *)&whole : problem, fit, error);
}

pmla_status anyMaskFit(pmla_device device, const pmla_problem *problem, pmla_fit *fit, pmla_error *error) {
  if (problem == nullptr || problem->op != PMLA_OP_DECODE || problem->size != sizeof(pmla_decode_problem)) {
    return good.fit(device, problem, fit, error);
  }
  pmla_decode_problem decode;
  memcpy(&decode, problem, sizeof decode);
  if (decode.mask > PMLA_MASK_TREE) decode.mask = PMLA_MASK_NONE;
  return good.fit(device, (const pmla_problem *)&decode, fit, error);
}

pmla_status moodyFit(pmla_device device, const pmla_problem *problem, pmla_fit *fit, pmla_error *error) {
  static uint64_t calls = 0;
  const pmla_status status = good.fit(device, problem, fit, error);
  if (status == PMLA_OK && fit->grade != PMLA_FIT_NO) fit->workspace_bytes += 256 * (calls++ % 2);
  return status;
}

pmla_status endlessFit(pmla_device, const pmla_problem *, pmla_fit *, pmla_error *) {
  for (;;) pause(1000);
}

pmla_status brokenPlan(pmla_device device, const pmla_problem *problem, pmla_plan *plan, pmla_error *error) {
  const pmla_status status = good.plan_new(device, problem, plan, error);
  if (status != PMLA_OK || problem->op != PMLA_OP_MERGE_STATES) return status;
  good.plan_free(*plan);
  if (error != nullptr) {
    error->status = PMLA_INTERNAL;
    strcpy(error->message, "no kernel");
    strcpy(error->fix, "");
  }
  return PMLA_INTERNAL;
}

/* An upload that is only made when the stream is used again. */
struct Late {
  pmla_stream stream;
  void *target;
  const void *source;
  uint64_t bytes;
} late;

pmla_status lateUpload(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *) {
  late = {stream, target, source, bytes};
  return PMLA_OK;
}

pmla_status copyAfterUpload(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error) {
  if (late.source != nullptr) good.upload(late.stream, late.target, late.source, late.bytes, error);
  late.source = nullptr;
  return good.copy(stream, target, source, bytes, error);
}

pmla_status shortCopy(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error) {
  return bytes == 1 ? PMLA_OK : good.copy(stream, target, source, bytes - 1, error);
}

pmla_status strayDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  const pmla_status status = good.decode(plan, stream, args, error);
  return status != PMLA_OK ? status : good.fill(stream, (char *)args->out - 1, 0, 1, error);
}

/* One byte more than q has. */
pmla_status greedyDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  (void)((const volatile char *)args->q)[args->batch * args->q_strides[0] * 2];
  return good.decode(plan, stream, args, error);
}

/* One element before the block table. */
pmla_status earlyDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  (void)((const volatile int32_t *)args->block_table)[-1];
  return good.decode(plan, stream, args, error);
}

pmla_status gapDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  const pmla_status status = good.decode(plan, stream, args, error);
  return status != PMLA_OK ? status : good.fill(stream, (char *)args->out + 64, 0xff, 4, error);
}

pmla_status printingDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  puts("decoding");
  fflush(stdout);
  return good.decode(plan, stream, args, error);
}

pmla_status exitingDecode(pmla_plan, pmla_stream, const pmla_decode_args *, pmla_error *) { exit(0); }

const pmla_decode_args *kept = nullptr;

pmla_status keepingDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  kept = args;
  return good.decode(plan, stream, args, error);
}

pmla_status recordAfterKept(pmla_event event, pmla_stream stream, pmla_error *error) {
  if (kept != nullptr && kept->batch < 0) return PMLA_INTERNAL;
  return good.event_record(event, stream, error);
}

/* One set of arguments for all threads. */
pmla_decode_args shared;

pmla_status sharingDecode(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error) {
  shared = *args;
  pause(2);
  return good.decode(plan, stream, &shared, error);
}

pmla_status notifyTwice(pmla_event event, void (*notify)(void *), void *context, pmla_error *error) {
  const pmla_status status = good.event_notify(event, notify, context, error);
  if (status == PMLA_OK) notify(context);
  return status;
}

pmla_status beginNothing(pmla_stream, pmla_error *) { return PMLA_OK; }

pmla_status endNothing(pmla_stream, pmla_graph *graph, pmla_error *) {
  *graph = (pmla_graph)(void *)&shared;
  return PMLA_OK;
}

pmla_status vagueAlloc(pmla_device device, uint64_t bytes, void **memory, pmla_error *error) {
  const pmla_status status = good.alloc(device, bytes, memory, error);
  if (status == PMLA_OUT_OF_MEMORY && error != nullptr) error->status = PMLA_INTERNAL;
  return status == PMLA_OUT_OF_MEMORY ? pmla_status{PMLA_INTERNAL} : status;
}

void *volatile note = nullptr;

pmla_status carelessStream(pmla_device device, void *native, pmla_stream *stream, pmla_error *error) {
  volatile char *made = (volatile char *)malloc(64);
  *made = 1;
  free((void *)made);
  return good.stream_new(device, native, stream, error);
}

pmla_status leakingStream(pmla_device device, void *native, pmla_stream *stream, pmla_error *error) {
  note = malloc(64);
  return good.stream_new(device, native, stream, error);
}

__attribute__((destructor)) void atExit() {
  if (is("crash at exit")) abort();
}

void spoil() {
  if (is("member that is no code")) spoilt.copy_pages = (decltype(spoilt.copy_pages))(uintptr_t)64;
  if (is("half of capture")) spoilt.graph_free = nullptr;
  if (is("any index")) spoilt.device_info = anyIndexInfo;
  if (is("failure without an error")) spoilt.open = silentOpen;
  if (is("success with an error")) spoilt.open = chattyOpen;
  if (is("answer past its end")) spoilt.device_info = infoPastEnd;
  if (is("problem past its end")) spoilt.fit = greedyFit;
  if (is("any mask")) spoilt.fit = anyMaskFit;
  if (is("moody fit")) spoilt.fit = moodyFit;
  if (is("endless fit")) spoilt.fit = endlessFit;
  if (is("plan that fit promised")) spoilt.plan_new = brokenPlan;
  if (is("late upload")) {
    spoilt.upload = lateUpload;
    spoilt.copy = copyAfterUpload;
  }
  if (is("short copy")) spoilt.copy = shortCopy;
  if (is("stray write")) spoilt.decode = strayDecode;
  if (is("read past the end")) spoilt.decode = greedyDecode;
  if (is("read before the beginning")) spoilt.decode = earlyDecode;
  if (is("gap in the output")) spoilt.decode = gapDecode;
  if (is("output on stdout")) spoilt.decode = printingDecode;
  if (is("exit in a launch")) spoilt.decode = exitingDecode;
  if (is("arguments read later")) {
    spoilt.decode = keepingDecode;
    spoilt.event_record = recordAfterKept;
  }
  if (is("arguments shared by threads")) spoilt.decode = sharingDecode;
  if (is("two notifications")) spoilt.event_notify = notifyTwice;
  if (is("capture that executes")) {
    spoilt.capture_begin = beginNothing;
    spoilt.capture_end = endNothing;
  }
  if (is("out of memory by another name")) spoilt.alloc = vagueAlloc;
  if (is("malloc unchecked")) spoilt.stream_new = carelessStream;
  if (is("lost memory")) spoilt.stream_new = leakingStream;
}

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  if (good.size == 0) {
    const char *path = getenv("POLYMLA_SABOTAGE_OF");
    void *handle = path != nullptr ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (handle == nullptr) return PMLA_INTERNAL;
    const pmla_library *table = nullptr;
    const pmla_status status = ((pmla_entry)dlsym(handle, PMLA_ENTRY))(host, &table, error);
    if (status != PMLA_OK) return status;
    good = spoilt = *table;
    spoil();
  } else if (host->abi_major != PMLA_ABI_MAJOR && !is("any host")) {
    if (error != nullptr) {
      error->status = PMLA_ABI_MISMATCH;
      strcpy(error->message, "another major version");
      strcpy(error->fix, "");
    }
    return PMLA_ABI_MISMATCH;
  }
  *library = &spoilt;
  return PMLA_OK;
}
