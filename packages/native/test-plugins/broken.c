/*
 * Libraries that a host must refuse, one per macro. NOTE_MAJOR ends the process from a constructor: it may be refused
 * only by who has not executed any of it. NEWER is the exception, a library of a later minor version, which works.
 */
#include "at-once.h"

#include <unistd.h>

#if defined(NOTE_MAJOR)
#undef PMLA_ABI_MAJOR
#define PMLA_ABI_MAJOR 2u
__attribute__((constructor)) static void endProcess(void) { _exit(86); }
#elif defined(NEWER)
#undef PMLA_ABI_MINOR
#define PMLA_ABI_MINOR 7u
#endif

#if !defined(NO_NOTE)
PMLA_ELF_NOTE;
#endif

#if defined(MISSING_DEPENDENCY)
int polymlaTestStub(void);
#endif

#if defined(NO_DEVICES)
static pmla_status noDevices(int32_t *count, pmla_error *error) {
  (void)count;
  return fail(error, PMLA_NO_DEVICE, "no device of this kind is installed", "Install one");
}
#endif

static struct {
  pmla_library table;
  /* What a later minor version has appended. */
  void *more[4];
} made;

__attribute__((constructor)) static void makeTable(void) {
  made.table = atOnceLibrary("broken");
#if defined(TABLE_MAJOR)
  made.table.abi_major = 2;
#elif defined(SHORT_TABLE)
  made.table.size = offsetof(pmla_library, alloc);
#elif defined(MISSING_MEMBER)
  made.table.event_record = NULL;
#elif defined(NULL_NAME)
  made.table.name = NULL;
#elif defined(HALF_CAPTURE)
  made.table.graph_launch = NULL;
#elif defined(NO_DEVICES)
  made.table.device_count = noDevices;
#elif defined(MISSING_DEPENDENCY)
  made.table.reserved = (uint32_t)polymlaTestStub();
#elif defined(NEWER)
  made.table.name = "newer";
  made.table.abi_minor = 7;
  made.table.size = sizeof made;
  made.more[0] = &made;
#endif
}

#if !defined(NO_ENTRY)
pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  (void)host;
#if defined(ENTRY_FAILS)
  (void)library;
  return fail(error, PMLA_DRIVER_TOO_OLD, "driver 450.80 is older than 525.60", "Update the driver");
#else
  (void)error;
#if defined(NULL_TABLE)
  *library = NULL;
#else
  *library = &made.table;
#endif
  return PMLA_OK;
#endif
}
#endif
