// What the library says of a device that fails, on the emulated device.
#include <cstring>
#include <string>

#include "polymla_backend.h"
#include "test-library/check.h"
#include "test-library/emulation/runtime.h"

using namespace polymla;

namespace {

struct Rig {
  const pmla_library* library = nullptr;
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

Rig openRig() {
  Rig rig;
  rig.error.size = sizeof rig.error;
  pmla_host host{};
  host.size = sizeof host;
  host.abi_major = PMLA_ABI_MAJOR;
  EXPECT(pmla_library_v1(&host, &rig.library, nullptr) == PMLA_OK);
  EXPECT(rig.library->open(0, nullptr, 0, &rig.device, &rig.error) == PMLA_OK);
  EXPECT(rig.library->stream_new(rig.device, nullptr, &rig.stream, &rig.error) == PMLA_OK);
  EXPECT(rig.library->event_new(rig.device, &rig.event, &rig.error) == PMLA_OK);
  const pmla_merge_states_problem problem = mergeProblem();
  EXPECT(rig.library->plan_new(rig.device, reinterpret_cast<const pmla_problem*>(&problem), &rig.plan, &rig.error) == PMLA_OK);
  return rig;
}

/** Enqueues a merge whose kernel never runs, since streams are held, and an event behind it. */
void enqueueMerge(Rig& rig) {
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
  EXPECT(rig.library->merge_states(rig.plan, rig.stream, &args, &rig.error) == PMLA_OK);
  EXPECT(rig.library->event_record(rig.event, rig.stream, &rig.error) == PMLA_OK);
  EXPECT(rig.library->event_query(rig.event, &rig.error) == PMLA_NOT_READY);
}

bool says(const Rig& rig, const char* words) {
  const bool said = std::strstr(rig.error.message, words) != nullptr;
  if (!said) std::fprintf(stderr, "  '%s' is not in '%s'\n", words, rig.error.message);
  return said;
}

/** A fault is of the device, names what was enqueued last, and is what every later call says. */
void checkFault() {
  Rig rig = openRig();
  emulation::hold(true);
  enqueueMerge(rig);
  emulation::fail(cudaErrorIllegalAddress);
  EXPECT(rig.library->event_query(rig.event, &rig.error) == PMLA_DEVICE_LOST);
  EXPECT(rig.error.status == PMLA_DEVICE_LOST && rig.error.native_code == cudaErrorIllegalAddress);
  EXPECT(says(rig, "cudaEventQuery") && says(rig, "merge_states") && says(rig, "heads 7"));
  EXPECT(rig.error.fix[0] != 0);

  // Whatever the runtime says from now on.
  emulation::fail(cudaSuccess);
  const std::string first = rig.error.message;
  void* memory = nullptr;
  EXPECT(rig.library->alloc(rig.device, 256, &memory, &rig.error) == PMLA_DEVICE_LOST && first == rig.error.message);
  EXPECT(rig.library->event_record(rig.event, rig.stream, &rig.error) == PMLA_DEVICE_LOST && first == rig.error.message);
  rig.library->plan_free(rig.plan);
  rig.library->event_free(rig.event);
  rig.library->stream_free(rig.stream);
  rig.library->close(rig.device);
  emulation::hold(false);
  EXPECT(emulation::contexts() == 0);
}

/** A failure that is not of the device does not stick. */
void checkRecovery() {
  Rig rig = openRig();
  void* memory = nullptr;
  EXPECT(rig.library->alloc(rig.device, uint64_t{1} << 50, &memory, &rig.error) == PMLA_OUT_OF_MEMORY);
  EXPECT(says(rig, "1125899906842624 bytes were asked for"));
  EXPECT(rig.library->alloc(rig.device, 256, &memory, &rig.error) == PMLA_OK);
  rig.library->release(rig.device, memory);
  rig.library->plan_free(rig.plan);
  rig.library->event_free(rig.event);
  rig.library->stream_free(rig.stream);
  rig.library->close(rig.device);
}

}  // namespace

int main() {
  checkRecovery();
  checkFault();
  return test::finish();
}
