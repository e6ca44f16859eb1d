/*
 * Every call succeeds at once and launches do nothing: what remains is the cost of the host. With NO_OPTIONAL (the
 * library `minimal`) every optional member of the table is NULL, except the launch of decode.
 */
#include "at-once.h"

PMLA_ELF_NOTE;

static pmla_library table;

__attribute__((constructor)) static void makeTable(void) {
#ifndef NO_OPTIONAL
  table = atOnceLibrary("noop");
#else
  table = atOnceLibrary("minimal");
  table.memory_info = NULL;
  table.event_notify = NULL;
  table.capture_begin = NULL;
  table.capture_end = NULL;
  table.graph_launch = NULL;
  table.graph_free = NULL;
  table.choose = NULL;
  table.schedule = NULL;
  table.sparse_decode = NULL;
  table.sparse_prefill = NULL;
  table.append_kv = NULL;
  table.merge_states = NULL;
  table.copy_pages = NULL;
  table.measure_peaks = NULL;
  table.extension = NULL;
#endif
}

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  const pmla_status status = checkHost(host, error);
  if (status == PMLA_OK) *library = &table;
  return status;
}
