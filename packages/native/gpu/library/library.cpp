#include "entries.h"
#include "kit/checks.h"
#include "kit/read.h"
#include "kit/report.h"
#include "own.h"

PMLA_ELF_NOTE;

namespace {

constexpr pmla_library makeLibrary() {
  namespace e = polymla::entries;
  pmla_library library{};
  library.size = sizeof library;
  library.abi_major = PMLA_ABI_MAJOR;
  library.abi_minor = PMLA_ABI_MINOR;
  library.name = polymla::own::name;
  library.version = POLYMLA_VERSION;
  library.device_count = e::device_count;
  library.device_info = e::device_info;
  library.open = e::open;
  library.close = e::close;
  library.memory_info = e::memory_info;
  library.alloc = e::alloc;
  library.release = e::release;
  library.stream_new = e::stream_new;
  library.stream_free = e::stream_free;
  library.upload = e::upload;
  library.download = e::download;
  library.fill = e::fill;
  library.copy = e::copy;
  library.event_new = e::event_new;
  library.event_free = e::event_free;
  library.event_record = e::event_record;
  library.event_wait = e::event_wait;
  library.event_query = e::event_query;
  library.event_elapsed = e::event_elapsed;
  library.capture_begin = e::capture_begin;
  library.capture_end = e::capture_end;
  library.graph_launch = e::graph_launch;
  library.graph_free = e::graph_free;
  library.fit = e::fit;
  library.plan_new = e::plan_new;
  library.plan_free = e::plan_free;
  library.choose = e::choose;
  library.schedule = e::schedule;
  library.decode = e::decode;
  if (polymla::own::sparse) {
    library.sparse_decode = e::sparse_decode;
    library.sparse_prefill = e::sparse_prefill;
  }
  library.append_kv = e::append_kv;
  library.merge_states = e::merge_states;
  library.copy_pages = e::copy_pages;
  return library;
}

constexpr pmla_library library_v1 = makeLibrary();

}  // namespace

extern "C" PMLA_EXPORT pmla_status pmla_library_v1(const pmla_host* host, const pmla_library** library, pmla_error* error) {
  using namespace polymla;
  return guarded(error, [&] {
    requirePointer(library, "library");
    const pmla_host read = readStruct(host, PMLA_LEAST(pmla_host, log_context), "host");
    if (read.abi_major != PMLA_ABI_MAJOR) {
      throw makeFailure(PMLA_ABI_MISMATCH, "Use a host and a backend of the same major version",
                        "expected a host of ABI %u, found %u", PMLA_ABI_MAJOR, read.abi_major);
    }
    *library = &library_v1;
  });
}
