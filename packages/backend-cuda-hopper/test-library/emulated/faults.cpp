// What the library says of a device that fails, on the emulated device.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "polymla_backend.h"
#include "test-library/check.h"
#include "test-library/emulation/runtime.h"

using namespace polymla;

namespace {

struct Fixture {
  const pmla_library* table = nullptr;
  pmla_device device = nullptr;
  pmla_stream stream = nullptr;
  pmla_event event = nullptr;
  pmla_plan plan = nullptr;
  pmla_error error{};
};

pmla_merge_states_problem mergeProblem() {
  pmla_merge_states_problem problem{};
  problem.size = sizeof problem;
  problem.op = PMLA_OP_MERGE_STATES;
  problem.dtype = problem.out_dtype = PMLA_F32;
  problem.parts = problem.batch = problem.query_tokens = 1;
  problem.heads = 7;
  problem.value_dim = 16;
  return problem;
}

Fixture openFixture() {
  Fixture fixture;
  fixture.error.size = sizeof fixture.error;
  pmla_host host{};
  host.size = sizeof host;
  host.abi_major = PMLA_ABI_MAJOR;
  EXPECT(pmla_library_v1(&host, &fixture.table, nullptr) == PMLA_OK);
  EXPECT(fixture.table->open(0, nullptr, 0, &fixture.device, &fixture.error) == PMLA_OK);
  EXPECT(fixture.table->stream_new(fixture.device, nullptr, &fixture.stream, &fixture.error) == PMLA_OK);
  EXPECT(fixture.table->event_new(fixture.device, &fixture.event, &fixture.error) == PMLA_OK);
  const pmla_merge_states_problem problem = mergeProblem();
  EXPECT(fixture.table->plan_new(fixture.device, reinterpret_cast<const pmla_problem*>(&problem), &fixture.plan, &fixture.error) == PMLA_OK);
  return fixture;
}

void closeFixture(Fixture& fixture) {
  fixture.table->plan_free(fixture.plan);
  fixture.table->event_free(fixture.event);
  fixture.table->stream_free(fixture.stream);
  fixture.table->close(fixture.device);
}

/** Enqueues a merge whose kernel never runs, since streams are held, and an event behind it. */
void enqueueMerge(Fixture& fixture) {
  static float numbers[256];
  pmla_merge_states_args args{};
  args.size = sizeof args;
  args.outs = numbers;
  args.outs_strides[0] = args.outs_strides[1] = args.outs_strides[2] = 7 * 16;
  args.outs_strides[3] = 16;
  args.lses = numbers;
  args.lses_strides[0] = args.lses_strides[1] = 7;
  args.lses_strides[2] = 1;
  args.out = numbers + 128;
  EXPECT(fixture.table->merge_states(fixture.plan, fixture.stream, &args, &fixture.error) == PMLA_OK);
  EXPECT(fixture.table->event_record(fixture.event, fixture.stream, &fixture.error) == PMLA_OK);
  EXPECT(fixture.table->event_query(fixture.event, &fixture.error) == PMLA_NOT_READY);
}

bool says(const Fixture& fixture, const char* words) {
  const bool said = std::strstr(fixture.error.message, words) != nullptr;
  if (!said) std::fprintf(stderr, "  '%s' is not in '%s'\n", words, fixture.error.message);
  return said;
}

/** A fault is of the device, names what was enqueued last, and is what every later call says. */
void checkFault() {
  Fixture fixture = openFixture();
  emulation::hold(true);
  enqueueMerge(fixture);
  emulation::fail(cudaErrorIllegalAddress);
  EXPECT(fixture.table->event_query(fixture.event, &fixture.error) == PMLA_DEVICE_LOST);
  EXPECT(fixture.error.status == PMLA_DEVICE_LOST && fixture.error.native_code == cudaErrorIllegalAddress);
  EXPECT(says(fixture, "cudaEventQuery") && says(fixture, "merge_states") && says(fixture, "heads 7"));
  EXPECT(fixture.error.fix[0] != 0);

  // Whatever the runtime says from now on.
  emulation::fail(cudaSuccess);
  const std::string first = fixture.error.message;
  void* memory = nullptr;
  EXPECT(fixture.table->alloc(fixture.device, 256, &memory, &fixture.error) == PMLA_DEVICE_LOST && first == fixture.error.message);
  EXPECT(fixture.table->event_record(fixture.event, fixture.stream, &fixture.error) == PMLA_DEVICE_LOST && first == fixture.error.message);
  closeFixture(fixture);
  emulation::hold(false);
  EXPECT(emulation::contexts() == 0);
}

/** A failure that is not of the device does not stick. */
void checkRecovery() {
  Fixture fixture = openFixture();
  void* memory = nullptr;
  EXPECT(fixture.table->alloc(fixture.device, uint64_t{1} << 50, &memory, &fixture.error) == PMLA_OUT_OF_MEMORY);
  EXPECT(says(fixture, "1125899906842624 bytes were asked for"));
  EXPECT(fixture.table->alloc(fixture.device, 256, &memory, &fixture.error) == PMLA_OK);
  fixture.table->release(fixture.device, memory);
  closeFixture(fixture);
}

/** A fork cannot use the devices of its parent, which stay usable there. */
void checkFork() {
  Fixture fixture = openFixture();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    void* memory = nullptr;
    bool lost = fixture.table->alloc(fixture.device, 256, &memory, &fixture.error) == PMLA_DEVICE_LOST && says(fixture, "forked");
    lost &= fixture.table->event_record(fixture.event, fixture.stream, &fixture.error) == PMLA_DEVICE_LOST;
    closeFixture(fixture);
    _exit(lost ? 0 : 1);
  }
  int status = 1;
  EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  void* memory = nullptr;
  EXPECT(fixture.table->alloc(fixture.device, 256, &memory, &fixture.error) == PMLA_OK);
  fixture.table->release(fixture.device, memory);
  closeFixture(fixture);
}

}  // namespace

int main() {
  checkRecovery();
  checkFork();
  checkFault();
  return test::finish();
}
