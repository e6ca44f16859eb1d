/*
 * Libraries that take their process down, or do not come back, one per macro: at what moment, and how.
 */
#include "at-once.h"

#include <unistd.h>

PMLA_ELF_NOTE;

static void strike(void) {
#if defined(SEGFAULT)
  *(volatile int *)8 = 1;
#elif defined(EXIT)
  exit(3);
#elif defined(ENDLESS)
  for (;;) sleep(1);
#endif
}

#if defined(IN_CONSTRUCTOR)
__attribute__((constructor)) static void inConstructor(void) { strike(); }
#endif

#if defined(IN_COUNT)
static pmla_status count(int32_t *found, pmla_error *error) {
  (void)error;
  fprintf(stderr, "the runtime found no firmware\n");
  strike();
  *found = 1;
  return PMLA_OK;
}
#endif

#if defined(IN_OPEN)
/* Device 0 works, 1 strikes. */
static pmla_status two(int32_t *found, pmla_error *error) {
  (void)error;
  *found = 2;
  return PMLA_OK;
}

static pmla_status anyInfo(int32_t index, pmla_device_info *info, pmla_error *error) {
  return deviceInfo(0 * index, info, error);
}

static pmla_status strikingOpen(int32_t index, const pmla_option *options, int32_t optionCount, pmla_device *device,
                                pmla_error *error) {
  if (index == 1) strike();
  return openDevice(0, options, optionCount, device, error);
}
#endif

static pmla_library table;

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  (void)host;
  (void)error;
#if defined(IN_ENTRY)
  strike();
#endif
  table = atOnceLibrary("hostile");
#if defined(IN_COUNT)
  table.device_count = count;
#endif
#if defined(IN_OPEN)
  table.device_count = two;
  table.device_info = anyInfo;
  table.open = strikingOpen;
#endif
  *library = &table;
  return PMLA_OK;
}
