#pragma once

#include "checks.h"
#include "entries.h"
#include "read.h"
#include "report.h"

namespace polymla {

/** Launches of one op, as a member of the table. */
template <uint32_t Op, class Args>
pmla_status launchOf(pmla_plan plan, pmla_stream stream, const Args *args, pmla_error *error) {
  return entries::launch(Op, plan, stream, args, error);
}

/** The table of a library that has every op and nothing optional. */
constexpr pmla_library makeTable(const char *name, const char *version) {
  namespace e = entries;
  pmla_library table{};
  table.size = sizeof table;
  table.abi_major = PMLA_ABI_MAJOR;
  table.abi_minor = PMLA_ABI_MINOR;
  table.name = name;
  table.version = version;
  table.device_count = e::device_count;
  table.device_info = e::device_info;
  table.open = e::open;
  table.close = e::close;
  table.memory_info = e::memory_info;
  table.alloc = e::alloc;
  table.release = e::release;
  table.stream_new = e::stream_new;
  table.stream_free = e::stream_free;
  table.upload = e::upload;
  table.download = e::download;
  table.fill = e::fill;
  table.copy = e::copy;
  table.event_new = e::event_new;
  table.event_free = e::event_free;
  table.event_record = e::event_record;
  table.event_wait = e::event_wait;
  table.event_query = e::event_query;
  table.event_elapsed = e::event_elapsed;
  table.capture_begin = e::capture_begin;
  table.capture_end = e::capture_end;
  table.graph_launch = e::graph_launch;
  table.graph_free = e::graph_free;
  table.fit = e::fit;
  table.plan_new = e::plan_new;
  table.plan_free = e::plan_free;
  table.choose = e::choose;
  table.schedule = e::schedule;
  table.decode = launchOf<PMLA_OP_DECODE, pmla_decode_args>;
  table.sparse_decode = launchOf<PMLA_OP_SPARSE_DECODE, pmla_sparse_decode_args>;
  table.sparse_prefill = launchOf<PMLA_OP_SPARSE_PREFILL, pmla_sparse_prefill_args>;
  table.append_kv = launchOf<PMLA_OP_APPEND_KV, pmla_append_kv_args>;
  table.merge_states = launchOf<PMLA_OP_MERGE_STATES, pmla_merge_states_args>;
  table.copy_pages = launchOf<PMLA_OP_COPY_PAGES, pmla_copy_pages_args>;
  return table;
}

/** pmla_library_v1: hands out the table to a host of the same major version. */
inline pmla_status enterLibrary(const pmla_host *host, const pmla_library &table, const pmla_library **library,
                                pmla_error *error) noexcept {
  return guarded(error, [&] {
    requirePointer(library, "library");
    const pmla_host read = readStruct(host, PMLA_LEAST(pmla_host, log_context), "host");
    if (read.abi_major != PMLA_ABI_MAJOR) {
      throw makeFailure(PMLA_ABI_MISMATCH, "Use a host and a backend of the same major version",
                        "expected a host of ABI %u, found %" PRIu32, PMLA_ABI_MAJOR, read.abi_major);
    }
    *library = &table;
  });
}

} // namespace polymla
