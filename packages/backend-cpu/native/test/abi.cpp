// What a host can get wrong, at every entry of the table: a coded error that says what was expected, and
// nothing else.

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "workload.h"

using namespace polymla::cpu::test;

namespace {

const pmla_library &l = library();

/** What a call answered, with its error filled. */
void refused(pmla_status status, const pmla_error &error, pmla_status expected, const char *word,
             const char *what) {
  const bool right = status == expected && error.status == expected && strstr(error.message, word) != nullptr;
  if (!right)
    fprintf(stderr, "%s: status %d, message '%s', expected %d and '%s'\n", what, status, error.message,
            expected, word);
  EXPECT(right);
}

#define REFUSED(expected, word, call)                                                                        \
  do {                                                                                                       \
    pmla_error error = makeError();                                                                          \
    const pmla_status status = (call);                                                                       \
    refused(status, error, (expected), (word), #call);                                                       \
  } while (false)

#define INVALID(word, call) REFUSED(PMLA_INVALID_ARGUMENT, word, call)

/** A device with a stream, an event, a plan of every op and a launch of it that works. */
struct Setup : Workload {
  Setup() {
    OK(make("2"));
    OK(launch());
    results();
  }
};

/** A struct in memory of its own size and no more, so that a sanitizer sees reads past its end. */
template <class Struct> class Cut {
public:
  Cut(const Struct &whole, uint32_t size) : bytes_(new uint8_t[size > 4 ? size : 4]) {
    memset(bytes_.get(), 0, size);
    memcpy(bytes_.get(), &whole, size < sizeof whole ? size : sizeof whole);
    memcpy(bytes_.get(), &size, sizeof size);
  }
  Struct *get() { return reinterpret_cast<Struct *>(bytes_.get()); }
  uint8_t *bytes() { return bytes_.get(); }

private:
  std::unique_ptr<uint8_t[]> bytes_;
};

/** The sizes a struct may claim: those of an older host, of a newer one, and nonsense. */
template <class Struct, class Call> void sizesAreRead(const Struct &whole, Call call) {
  for (uint32_t size = 0; size < sizeof whole; size += 4) {
    Cut<Struct> cut(whole, size);
    EXPECT(call(cut.get()) == PMLA_INVALID_ARGUMENT);
  }
  Cut<Struct> newer(whole, sizeof whole + 40);
  EXPECT(call(newer.get()) == PMLA_OK);
  newer.bytes()[sizeof whole + 17] = 1;
  EXPECT(call(newer.get()) == PMLA_UNSUPPORTED);
  Cut<Struct> absurd(whole, 65540);
  EXPECT(call(absurd.get()) == PMLA_INVALID_ARGUMENT);
  EXPECT(call(nullptr) == PMLA_INVALID_ARGUMENT);
}

void entryChecksItsHost() {
  pmla_host host{};
  host.size = sizeof host;
  host.abi_major = PMLA_ABI_MAJOR;
  const pmla_library *found = nullptr;
  sizesAreRead(host, [&](const pmla_host *given) { return pmla_library_v1(given, &found, nullptr); });
  EXPECT(found == &l);
  EXPECT(pmla_library_v1(&host, nullptr, nullptr) == PMLA_INVALID_ARGUMENT);
  host.abi_major = 2;
  REFUSED(PMLA_ABI_MISMATCH, "found 2", pmla_library_v1(&host, &found, &error));
  EXPECT(l.size == sizeof l && l.abi_major == PMLA_ABI_MAJOR && strcmp(l.name, "cpu") == 0);
}

void deviceIsDescribed() {
  int32_t count = 0;
  OK(l.device_count(&count, nullptr));
  EXPECT(count == 1);
  auto info = sized<pmla_device_info>();
  OK(l.device_info(0, &info, nullptr));
  EXPECT(info.status == PMLA_OK && info.score > 0 && info.score < 100 && info.memory_bytes > 0);
  EXPECT(info.name[0] != '\0' && info.arch[0] != '\0');
  INVALID("info", l.device_info(0, nullptr, &error));
  INVALID("count", l.device_count(nullptr, &error));
  REFUSED(PMLA_NO_DEVICE, "found 1", l.device_info(1, &info, &error));
  // A host that knows less of a struct gets as much as it knows.
  pmla_device_info known;
  memset(&known, 0x55, sizeof known);
  known.size = offsetof(pmla_device_info, name);
  OK(l.device_info(0, &known, nullptr));
  EXPECT(known.memory_bytes == info.memory_bytes && known.name[0] == 0x55);
}

pmla_status openWith(const char *key, const char *value, pmla_error *error) {
  const pmla_option option{key, value};
  pmla_device device = nullptr;
  const pmla_status status = l.open(0, &option, 1, &device, error);
  if (status == PMLA_OK) l.close(device);
  return status;
}

void optionsAreChecked() {
  OK(openWith("threads", "3", nullptr));
  OK(openWith("pin", "1", nullptr));
  OK(openWith("isa", "scalar", nullptr));
  INVALID("threads, pin or isa", openWith("thread", "1", &error));
  INVALID("1 to 1024", openWith("threads", "0", &error));
  INVALID("1 to 1024", openWith("threads", "2x", &error));
  INVALID("1 to 1024", openWith("threads", "", &error));
  INVALID("1 to 1024", openWith("threads", "99999999999999999999", &error));
  INVALID("0 or 1", openWith("pin", "yes", &error));
  INVALID("scalar", openWith("isa", "sse", &error));
  INVALID("NULL", openWith(nullptr, "1", &error));
  INVALID("NULL", openWith("threads", nullptr, &error));
  INVALID("threads, pin or isa", openWith(std::string(5000, 'k').c_str(), "1", &error));
  pmla_device device = nullptr;
  INVALID("options", l.open(0, nullptr, 1, &device, &error));
  INVALID("options", l.open(0, nullptr, -1, &device, &error));
  INVALID("device", l.open(0, nullptr, 0, nullptr, &error));
  REFUSED(PMLA_NO_DEVICE, "found -1", l.open(-1, nullptr, 0, &device, &error));
}

void memoryIsBounded() {
  Setup s;
  void *memory = nullptr;
  INVALID("bytes", l.alloc(s.device, 0, &memory, &error));
  INVALID("memory", l.alloc(s.device, 1, nullptr, &error));
  for (const uint64_t bytes : {uint64_t{1} << 50, uint64_t{1} << 63, UINT64_MAX}) {
    REFUSED(PMLA_OUT_OF_MEMORY, "available", l.alloc(s.device, bytes, &memory, &error));
  }
  EXPECT(memory == nullptr);
  for (const uint64_t bytes : {1, 255, 257, 3 << 20}) {
    OK(l.alloc(s.device, bytes, &memory, nullptr));
    EXPECT(reinterpret_cast<uintptr_t>(memory) % 256 == 0);
    memset(memory, 1, bytes);
    l.release(s.device, memory);
  }
  uint64_t total = 0;
  uint64_t available = 0;
  OK(l.memory_info(s.device, &total, &available, nullptr));
  EXPECT(available > 0 && available <= total);
}

void handlesAreNeeded() {
  Setup s;
  uint64_t bytes;
  char byte;
  void *memory;
  double microseconds;
  pmla_stream stream;
  pmla_event event;
  pmla_graph graph;
  auto peaks = sized<pmla_peaks>();
  auto fit = sized<pmla_fit>();
  INVALID("device", l.memory_info(nullptr, &bytes, &bytes, &error));
  INVALID("total", l.memory_info(s.device, nullptr, &bytes, &error));
  INVALID("available", l.memory_info(s.device, &bytes, nullptr, &error));
  INVALID("device", l.alloc(nullptr, 1, &memory, &error));
  INVALID("device", l.stream_new(nullptr, nullptr, &stream, &error));
  INVALID("stream", l.stream_new(s.device, nullptr, nullptr, &error));
  REFUSED(PMLA_UNSUPPORTED, "native", l.stream_new(s.device, &byte, &stream, &error));
  INVALID("stream", l.upload(nullptr, &byte, &byte, 1, &error));
  INVALID("target", l.upload(s.stream, nullptr, &byte, 1, &error));
  INVALID("source", l.upload(s.stream, &byte, nullptr, 1, &error));
  INVALID("stream", l.download(nullptr, &byte, &byte, 1, &error));
  INVALID("source", l.download(s.stream, &byte, nullptr, 1, &error));
  INVALID("stream", l.fill(nullptr, &byte, 0, 1, &error));
  INVALID("target", l.fill(s.stream, nullptr, 0, 1, &error));
  INVALID("stream", l.copy(nullptr, &byte, &byte, 1, &error));
  INVALID("target", l.copy(s.stream, nullptr, &byte, 1, &error));
  OK(l.copy(s.stream, nullptr, nullptr, 0, nullptr));
  INVALID("device", l.event_new(nullptr, &event, &error));
  INVALID("event", l.event_new(s.device, nullptr, &error));
  INVALID("event", l.event_record(nullptr, s.stream, &error));
  INVALID("stream", l.event_record(s.event, nullptr, &error));
  INVALID("event", l.event_wait(nullptr, s.stream, &error));
  INVALID("stream", l.event_wait(s.event, nullptr, &error));
  INVALID("event", l.event_query(nullptr, &error));
  INVALID("earlier", l.event_elapsed(nullptr, s.event, &microseconds, &error));
  INVALID("later", l.event_elapsed(s.event, nullptr, &microseconds, &error));
  INVALID("microseconds", l.event_elapsed(s.event, s.event, nullptr, &error));
  INVALID("notify", l.event_notify(s.event, nullptr, nullptr, &error));
  INVALID("stream", l.capture_begin(nullptr, &error));
  INVALID("stream", l.capture_end(nullptr, &graph, &error));
  INVALID("graph", l.graph_launch(nullptr, s.stream, &error));
  INVALID("device", l.fit(nullptr, nullptr, &fit, &error));
  INVALID("device", l.measure_peaks(nullptr, &peaks, &error));

  OK(l.event_new(s.device, &event, nullptr));
  INVALID("recorded", l.event_query(event, &error));
  INVALID("recorded", l.event_wait(event, s.stream, &error));
  INVALID("recorded", l.event_elapsed(event, s.event, &microseconds, &error));
  l.event_free(event);

  OK(l.capture_begin(s.stream, nullptr));
  INVALID("graph", l.capture_end(s.stream, nullptr, &error));
  REFUSED(PMLA_CAPTURE_ILLEGAL, "capture_end", l.capture_end(s.stream, &graph, &error));

  Setup other;
  INVALID("of the same device", l.event_record(s.event, other.stream, &error));
  INVALID("of the same device", l.event_wait(s.event, other.stream, &error));
}

/** A problem struct through fit and plan_new, which must agree. */
template <class Problem> pmla_status tried(pmla_device device, const Problem &problem, pmla_error *error) {
  auto fit = sized<pmla_fit>();
  const pmla_status status = l.fit(device, head(&problem), &fit, error);
  pmla_plan plan = nullptr;
  const pmla_status made = l.plan_new(device, head(&problem), &plan, nullptr);
  if (status == PMLA_OK && fit.grade == PMLA_FIT_NO) {
    EXPECT(fit.why[0] != '\0' && made == PMLA_UNSUPPORTED);
    *error = makeError();
    error->status = PMLA_UNSUPPORTED;
    memcpy(error->message, fit.why, sizeof fit.why);
    return PMLA_UNSUPPORTED;
  }
  EXPECT(status == made);
  if (made == PMLA_OK) l.plan_free(plan);
  return status;
}

template <class Problem, class Change>
void badProblem(pmla_device device, Problem problem, const char *word, Change change,
                pmla_status expected = PMLA_INVALID_ARGUMENT) {
  change(problem);
  REFUSED(expected, word, tried(device, problem, &error));
}

void problemsAreChecked() {
  const pmla_device device = openDevice({{"threads", "1"}});
  pmla_error error = makeError();
  const auto sizes = [&](const auto &problem) {
    using Problem = std::remove_cvref_t<decltype(problem)>;
    auto fit = sized<pmla_fit>();
    sizesAreRead(problem, [&](const Problem *given) { return l.fit(device, head(given), &fit, nullptr); });
    auto unknown = problem;
    unknown.op = 7;
    EXPECT(l.fit(device, head(&unknown), &fit, &error) == PMLA_UNSUPPORTED);
    EXPECT(l.fit(device, head(&problem), nullptr, &error) == PMLA_INVALID_ARGUMENT);
    EXPECT(l.plan_new(device, head(&problem), nullptr, &error) == PMLA_INVALID_ARGUMENT);
  };
  sizes(decodeProblem());
  sizes(sparseDecodeProblem());
  sizes(sparsePrefillProblem());
  sizes(appendKvProblem());
  sizes(mergeStatesProblem());
  sizes(copyPagesProblem());

  const auto decode = [&](const char *word, auto change) {
    badProblem(device, decodeProblem(), word, change);
  };
  decode("max_batch", [](auto &p) { p.max_batch = -1; });
  decode("max_batch", [](auto &p) { p.max_batch = int64_t{1} << 31; });
  decode("query_tokens", [](auto &p) { p.query_tokens = 0; });
  decode("heads", [](auto &p) { p.heads = 0; });
  decode("heads", [](auto &p) {
    p.cache.heads_kv = 5;
    p.cache.page_stride *= 5;
  });
  decode("value_dim", [](auto &p) { p.value_dim = 8; });
  decode("value_dim", [](auto &p) { p.value_dim = HEAD_DIM + 16; });
  decode("out_dtype", [](auto &p) { p.out_dtype = PMLA_E4M3; });
  decode("block_table_width", [](auto &p) { p.block_table_width = -5; });
  decode("split_pages", [](auto &p) { p.split_pages = -1; });
  decode("softmax_scale", [](auto &p) { p.softmax_scale = NAN; });
  decode("cache.pages", [](auto &p) { p.cache.pages = -1; });
  decode("cache.page_size", [](auto &p) { p.cache.page_size = 0; });
  decode("cache.heads_kv", [](auto &p) { p.cache.heads_kv = 0; });
  decode("cache.head_dim", [](auto &p) { p.cache.head_dim = 40; });
  decode("cache.head_dim", [](auto &p) { p.cache.format = PMLA_KV_FP8_656; });
  decode("cache.page_stride", [](auto &p) { p.cache.page_stride--; });
  decode("cache.page_stride", [](auto &p) { p.cache.page_size = INT64_MAX / 2; });
  const auto unknown = [&](const char *word, auto change) {
    badProblem(device, decodeProblem(), word, change, PMLA_UNSUPPORTED);
  };
  unknown("q_dtype", [](auto &p) { p.q_dtype = 0; });
  unknown("mask", [](auto &p) { p.mask = 3; });
  unknown("cache.format", [](auto &p) { p.cache.format = 7; });
  unknown("q: expected less than 2^62", [](auto &p) { p.heads = int64_t{1} << 60; });
  unknown("cache: expected less than 2^62", [](auto &p) { p.cache.pages = INT64_MAX; });

  const auto sparse = [&](const char *word, auto change) {
    badProblem(device, sparseDecodeProblem(), word, change);
  };
  sparse("topk", [](auto &p) { p.topk = -1; });
  sparse("cache.heads_kv", [](auto &p) {
    p.cache.heads_kv = 2;
    p.cache.page_stride *= 2;
  });
  sparse("EXTRA", [](auto &p) { p.flags = PMLA_SPARSE_EXTRA_TOPK_LENGTH; });
  sparse("extra_cache.head_dim", [](auto &p) {
    p.flags = PMLA_SPARSE_EXTRA;
    p.extra_cache = layout();
    p.extra_cache.head_dim = 80;
  });
  badProblem(
      device, sparseDecodeProblem(), "flags", [](auto &p) { p.flags = 1 << 10; }, PMLA_UNSUPPORTED);
  badProblem(device, sparsePrefillProblem(), "keys", [](auto &p) { p.keys = -1; });
  badProblem(
      device, sparsePrefillProblem(), "flags", [](auto &p) { p.flags = PMLA_SPARSE_EXTRA; },
      PMLA_UNSUPPORTED);
  badProblem(device, appendKvProblem(), "rope_dim", [](auto &p) { p.rope_dim = 7; });
  badProblem(device, appendKvProblem(), "rope_dim", [](auto &p) { p.rope_dim = HEAD_DIM + 2; });
  badProblem(device, appendKvProblem(), "rope_dim", [](auto &p) { p.rope_dim = 0; });
  badProblem(device, appendKvProblem(), "table_length", [](auto &p) { p.table_length = 0; });
  badProblem(device, mergeStatesProblem(), "parts", [](auto &p) { p.parts = -1; });
  badProblem(device, copyPagesProblem(), "max_pairs", [](auto &p) { p.max_pairs = -1; });
  l.close(device);
}

/** One plan of decode and launches of it that lack something. Nothing is enqueued, so nothing has to be
 * there. */
void launchesAreChecked() {
  const pmla_device device = openDevice({{"threads", "1"}});
  pmla_stream stream = nullptr;
  OK(l.stream_new(device, nullptr, &stream, nullptr));
  const auto planOf = [&](const auto &problem) {
    pmla_plan plan = nullptr;
    OK(l.plan_new(device, head(&problem), &plan, nullptr));
    return plan;
  };
  const pmla_plan decode = planOf(decodeProblem());
  const pmla_plan copyPages = planOf(copyPagesProblem());
  alignas(256) static int32_t some[4096];

  auto whole = sized<pmla_decode_args>();
  whole.batch = BATCH;
  whole.q = whole.cache = some;
  whole.seqlens = whole.block_table = some;
  whole.out = some;
  whole.descale_q = whole.descale_k = 1;
  whole.schedule = {some, some};
  whole.workspace = some;
  const auto bad = [&](const char *word, auto change) {
    pmla_decode_args args = whole;
    change(args);
    INVALID(word, l.decode(decode, stream, &args, &error));
  };
  bad("batch", [](auto &a) { a.batch = 0; });
  bad("batch", [](auto &a) { a.batch = BATCH + 1; });
  bad("q:", [](auto &a) { a.q = nullptr; });
  bad("q:", [](auto &a) { a.q = reinterpret_cast<const char *>(some) + 1; });
  bad("q_strides", [](auto &a) { a.q_strides[1] = -1; });
  bad("q_strides", [](auto &a) { a.q_strides[0] = INT64_MAX; });
  bad("cache", [](auto &a) { a.cache = nullptr; });
  bad("seqlens", [](auto &a) { a.seqlens = nullptr; });
  bad("block_table", [](auto &a) { a.block_table = nullptr; });
  bad("out", [](auto &a) { a.out = nullptr; });
  bad("lse", [](auto &a) { a.lse = reinterpret_cast<float *>(reinterpret_cast<char *>(some) + 2); });
  bad("descale_q", [](auto &a) { a.descale_q = INFINITY; });
  bad("split_pages", [](auto &a) { a.split_pages = -1; });
  bad("schedule.rows", [](auto &a) { a.schedule.rows = nullptr; });
  bad("schedule.num_splits", [](auto &a) { a.schedule.num_splits = nullptr; });
  bad("workspace", [](auto &a) { a.workspace = some + 1; });
  for (uint32_t size = 0; size < sizeof whole; size += 4) {
    Cut<pmla_decode_args> cut(whole, size);
    EXPECT(l.decode(decode, stream, cut.get(), nullptr) == PMLA_INVALID_ARGUMENT);
  }
  INVALID("args", l.decode(decode, stream, nullptr, &error));
  INVALID("plan", l.decode(nullptr, stream, &whole, &error));
  INVALID("stream", l.decode(decode, nullptr, &whole, &error));
  INVALID("copy_pages", l.decode(copyPages, stream, &whole, &error));

  auto pairs = sized<pmla_copy_pages_args>();
  pairs.pairs = 3;
  pairs.cache = some;
  pairs.pages = some;
  INVALID("pairs", l.copy_pages(copyPages, stream, &pairs, &error));

  auto load = sized<pmla_load>();
  auto choice = sized<pmla_choice>();
  load.batch = 1;
  sizesAreRead(load, [&](const pmla_load *given) { return l.choose(decode, given, &choice, nullptr); });
  INVALID("choice", l.choose(decode, &load, nullptr, &error));
  REFUSED(PMLA_UNSUPPORTED, "schedule", l.choose(copyPages, &load, &choice, &error));
  load.total_pages = -1;
  INVALID("total_pages", l.choose(decode, &load, &choice, &error));

  auto schedule = sized<pmla_schedule_args>();
  schedule.batch = BATCH;
  schedule.page_size = PAGE_SIZE;
  schedule.partitions = 1;
  schedule.lengths = some;
  schedule.rows = some;
  const auto badSchedule = [&](const char *word, auto change) {
    pmla_schedule_args args = schedule;
    change(args);
    INVALID(word, l.schedule(decode, stream, &args, &error));
  };
  badSchedule("num_splits", [](auto &) {});
  badSchedule("batch", [](auto &a) { a.batch = BATCH + 1; });
  badSchedule("lengths", [](auto &a) { a.lengths = nullptr; });
  badSchedule("partitions", [](auto &a) { a.partitions = 0; });
  badSchedule("partitions", [](auto &a) { a.partitions = int64_t{1} << 40; });
  badSchedule("page_size", [](auto &a) { a.page_size = 0; });

  EXPECT(finishWork(device, stream) == PMLA_OK);
  l.plan_free(decode);
  l.plan_free(copyPages);
  l.stream_free(stream);
  l.close(device);
}

void errorsAreFilledAsFarAsTheyGo() {
  EXPECT(l.device_count(nullptr, nullptr) == PMLA_INVALID_ARGUMENT);
  pmla_error small;
  memset(&small, 0x55, sizeof small);
  small.size = offsetof(pmla_error, message) + 4;
  EXPECT(l.device_count(nullptr, &small) == PMLA_INVALID_ARGUMENT);
  EXPECT(small.status == PMLA_INVALID_ARGUMENT && memcmp(small.message, "coun\x55", 5) == 0);
}

void forkedChildrenHaveNoDevice() {
  Setup s;
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    void *memory = nullptr;
    bool lost = l.alloc(s.device, 1, &memory, nullptr) == PMLA_DEVICE_LOST;
    lost &= l.event_query(s.event, nullptr) == PMLA_DEVICE_LOST;
    lost &= l.event_record(s.event, s.stream, nullptr) == PMLA_DEVICE_LOST;
    lost &= l.fill(s.stream, &memory, 0, 1, nullptr) == PMLA_DEVICE_LOST;
    l.event_free(s.event);
    l.stream_free(s.stream);
    l.close(s.device);
    _exit(lost ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

} // namespace

int main() {
  entryChecksItsHost();
  deviceIsDescribed();
  optionsAreChecked();
  memoryIsBounded();
  handlesAreNeeded();
  problemsAreChecked();
  launchesAreChecked();
  errorsAreFilledAsFarAsTheyGo();
  forkedChildrenHaveNoDevice();
  return finish();
}
