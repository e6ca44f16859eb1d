/*
 * Says what it was called with: a launch copies its arguments to the front of the memory that it is to write, and the
 * plan's problem 512 bytes behind it. The struct sizes come first in both.
 */
#define AT_ONCE_OWN_LAUNCH
#include "at-once.h"

PMLA_ELF_NOTE;

enum { PROBLEM_OFFSET = 512 };

/* A plan is the problem that it was made for. */
static pmla_status echoPlanNew(pmla_device device, const pmla_problem *problem, pmla_plan *plan,
                               pmla_error *error) {
  char *made;
  const pmla_status status = checkProblem(problem, error);
  if (status != PMLA_OK) return status;
  made = (char *)calloc(1, sizeof(struct pmla_plan_s) + problem->size);
  if (made == NULL) return outOfMemory(error);
  ((pmla_plan)(void *)made)->device = device;
  memcpy(made + sizeof(struct pmla_plan_s), problem, problem->size);
  LIVE_ADD(plans, 1);
  *plan = (pmla_plan)(void *)made;
  return PMLA_OK;
}

static pmla_status echo(pmla_plan plan, const void *args, void *to) {
  const void *problem = (const char *)plan + sizeof(struct pmla_plan_s);
  memcpy(to, args, *(const uint32_t *)args);
  memcpy((char *)to + PROBLEM_OFFSET, problem, *(const uint32_t *)problem);
  return PMLA_OK;
}

#define ECHO(name, args_type, member)                                                                         \
  static pmla_status name(pmla_plan plan, pmla_stream stream, const args_type *args, pmla_error *error) { \
    (void)stream;                                                                                             \
    (void)error;                                                                                              \
    return echo(plan, args, args->member);                                                                    \
  }

ECHO(echoSchedule, pmla_schedule_args, rows)
ECHO(echoDecode, pmla_decode_args, out)
ECHO(echoSparseDecode, pmla_sparse_decode_args, out)
ECHO(echoSparsePrefill, pmla_sparse_prefill_args, out)
ECHO(echoAppendKv, pmla_append_kv_args, cache)
ECHO(echoMergeStates, pmla_merge_states_args, out)
ECHO(echoCopyPages, pmla_copy_pages_args, cache)

static pmla_status launch(pmla_plan plan, pmla_stream stream, const char *kernel, pmla_error *error) {
  (void)plan;
  (void)stream;
  return fail(error, PMLA_INTERNAL, kernel, "");
}

static pmla_library table;

__attribute__((constructor)) static void makeTable(void) {
  table = atOnceLibrary("echo");
  table.plan_new = echoPlanNew;
  table.schedule = echoSchedule;
  table.decode = echoDecode;
  table.sparse_decode = echoSparseDecode;
  table.sparse_prefill = echoSparsePrefill;
  table.append_kv = echoAppendKv;
  table.merge_states = echoMergeStates;
  table.copy_pages = echoCopyPages;
}

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  const pmla_status status = checkHost(host, error);
  if (status == PMLA_OK) *library = &table;
  return status;
}
