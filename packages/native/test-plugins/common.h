/*
 * What every test plugin needs, in C11 and C++17: filling errors, counting what is alive, reading options.
 */
#pragma once

#include <polymla_backend.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the library has handed out and not got back. `extension("test.counts", 1)` is its address. */
typedef struct {
  int64_t devices, streams, events, plans, graphs, buffers, bytes;
  /* Calls that break a rule of the header: handles freed, or events recorded again, before their work was done. */
  int64_t misuses;
} LiveCounts;

static LiveCounts live;

#define LIVE_ADD(member, amount) ((void)__atomic_add_fetch(&live.member, (int64_t)(amount), __ATOMIC_RELAXED))
#define LIVE(member) __atomic_load_n(&live.member, __ATOMIC_RELAXED)

static inline const void *countsExtension(const char *name, uint32_t version) {
  return strcmp(name, "test.counts") == 0 && version == 1 ? &live : NULL;
}

static inline pmla_status fail(pmla_error *error, pmla_status status, const char *message, const char *fix) {
  pmla_error made;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  made.status = status;
  snprintf(made.message, sizeof made.message, "%s", message);
  snprintf(made.fix, sizeof made.fix, "%s", fix);
  pmla_write(error, &made, sizeof made);
  return status;
}

/* The check that every entry begins with. */
static inline pmla_status checkHost(const pmla_host *host, pmla_error *error) {
  if (host != NULL && host->abi_major == PMLA_ABI_MAJOR) return PMLA_OK;
  return fail(error, PMLA_ABI_MISMATCH, "the host has another major version of the ABI", "Use a host of version 1");
}

static inline pmla_status failOption(pmla_error *error, const char *key, const char *value) {
  char message[256];
  snprintf(message, sizeof message, "option %.60s: found \"%.60s\"", key, value);
  return fail(error, PMLA_INVALID_ARGUMENT, message, "See the README of the test plugins for the options");
}

/* Whether `text` is a decimal number from 0 to 10^12; *number then is that. */
static inline int parseNumber(const char *text, int64_t *number) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 12 || text[digits] != '\0') return 0;
  *number = strtoll(text, NULL, 10);
  return 1;
}

static inline pmla_status writeDeviceInfo(pmla_device_info *info, const pmla_device_info *made) {
  return pmla_write(info, made, sizeof *made);
}

static inline pmla_device_info usableDevice(const char *name) {
  pmla_device_info made;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  made.status = PMLA_OK;
  made.score = 1;
  made.memory_bytes = (uint64_t)1 << 40;
  snprintf(made.name, sizeof made.name, "%s", name);
  snprintf(made.arch, sizeof made.arch, "test");
  return made;
}

enum Report { REPORT_BYTES, REPORT_HANDLES, REPORT_MISUSES };

/* Whether `value` names a report; *report then is that. */
static inline int parseReport(const char *value, int *report) {
  static const char *const names[] = {"bytes", "handles", "misuses"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(value, names[i]) != 0) continue;
    *report = i;
    return 1;
  }
  return 0;
}

/* Memory, or another count in its place: the way JavaScript gets to see the counts. */
static inline pmla_status reportLive(int report, uint64_t *total, uint64_t *available) {
  int64_t used = LIVE(bytes);
  if (report == REPORT_HANDLES)
    used = LIVE(devices) + LIVE(streams) + LIVE(events) + LIVE(plans) + LIVE(graphs) + LIVE(buffers);
  if (report == REPORT_MISUSES) used = LIVE(misuses);
  *total = (uint64_t)1 << 40;
  *available = *total - (uint64_t)used;
  return PMLA_OK;
}

/* Device memory is host memory behind a header that says how much it is. */
static inline pmla_status hostAlloc(uint64_t bytes, void **memory, pmla_error *error) {
  char *block = NULL;
  if (bytes <= (uint64_t)1 << 40) block = (char *)aligned_alloc(256, (size_t)(256 + (bytes + 255) / 256 * 256));
  if (block == NULL) return fail(error, PMLA_OUT_OF_MEMORY, "the host is out of memory", "Ask for less");
  *(uint64_t *)(void *)block = bytes;
  *memory = block + 256;
  LIVE_ADD(buffers, 1);
  LIVE_ADD(bytes, bytes);
  return PMLA_OK;
}

static inline void hostRelease(void *memory) {
  char *block = (char *)memory - 256;
  LIVE_ADD(buffers, -1);
  LIVE_ADD(bytes, -(int64_t)*(uint64_t *)(void *)block);
  free(block);
}
