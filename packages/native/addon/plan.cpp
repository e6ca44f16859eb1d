#include "plan.h"

#include "args.h"

namespace polymla {
namespace {

/** JavaScript counts exactly up to here. */
constexpr uint64_t MAX_SAFE = (uint64_t{1} << 53) - 1;
/** Rows of a schedule are counted in int32. */
constexpr int64_t MAX_PARTITIONS = INT32_MAX;

bool hasLaunch(const pmla_library &table, uint32_t op) {
  switch (op) {
    case PMLA_OP_DECODE:
      return table.decode;
    case PMLA_OP_SPARSE_DECODE:
      return table.sparse_decode;
    case PMLA_OP_SPARSE_PREFILL:
      return table.sparse_prefill;
    case PMLA_OP_APPEND_KV:
      return table.append_kv;
    case PMLA_OP_MERGE_STATES:
      return table.merge_states;
    default:
      return table.copy_pages;
  }
}

pmla_plan newPlan(Device &device, const Problem &problem) {
  device.assertUsable();
  pmla_plan plan = nullptr;
  ErrorRecord error;
  device.check(device.table().plan_new(device.handle(), &problem.head, &plan, error.get()), error, "plan_new");
  if (!plan) device.fail({PMLA_INTERNAL, 0, "plan_new gave no plan", "", ""});
  return plan;
}

}  // namespace

Fit fit(Device &device, const Problem &problem) {
  device.assertUsable();
  if (!hasLaunch(device.table(), problem.head.op)) return {"the backend does not have this op"};
  pmla_fit answer{};
  answer.size = sizeof answer;
  ErrorRecord error;
  const pmla_status status = device.table().fit(device.handle(), &problem.head, &answer, error.get());
  // A library from before some value of the problem cannot grade it.
  if (status == PMLA_UNSUPPORTED) return {error.failure(status, "fit", device.id()).message};
  device.check(status, error, "fit");
  if (answer.grade == PMLA_FIT_NO) {
    const std::string why = boundedText(answer.why, sizeof answer.why);
    return {why.empty() ? "the backend refuses the problem without a reason" : why};
  }
  if (answer.workspace_bytes > MAX_SAFE || answer.max_partitions < 0 || answer.max_partitions > MAX_PARTITIONS ||
      answer.fixed_overhead < 0 || answer.fixed_overhead > INT32_MAX) {
    return {"the backend asks for " + std::to_string(answer.workspace_bytes) + " bytes of scratch, " +
            std::to_string(answer.max_partitions) + " partitions and an overhead of " +
            std::to_string(answer.fixed_overhead) + " pages, which nothing can give"};
  }
  return {"", answer.workspace_bytes, answer.max_partitions, answer.fixed_overhead,
          (answer.flags & PMLA_FIT_SCHEDULES) != 0 && device.table().schedule};
}

Plan::Plan(std::shared_ptr<Device> device, const Problem &problem)
    : Handle(Kind::PLAN, device), op_(problem.head.op), plan_(newPlan(*device, problem)) {}

pmla_choice Plan::choose(const pmla_load &load) {
  device().assertUsable();
  pmla_choice choice{};
  choice.size = sizeof choice;
  ErrorRecord error;
  device().check(device().table().choose(plan_, &load, &choice, error.get()), error, "choose");
  return choice;
}

void Plan::schedule(Stream &stream, const double *block) {
  stream.enqueuing();
  const auto args = readScheduleArgs(block);
  ErrorRecord error;
  device().check(device().table().schedule(plan_, stream.native(), &args, error.get()), error, "schedule");
}

void Plan::launch(Stream &stream, const double *block) {
  stream.enqueuing();
  const pmla_library &table = device().table();
  ErrorRecord error;
  const auto enqueue = [&](auto function, const auto &args, const char *call) {
    device().check(function(plan_, stream.native(), &args, error.get()), error, call);
  };
  switch (op_) {
    case PMLA_OP_DECODE:
      return enqueue(table.decode, readDecodeArgs(block), "decode");
    case PMLA_OP_SPARSE_DECODE:
      return enqueue(table.sparse_decode, readSparseDecodeArgs(block), "sparse_decode");
    case PMLA_OP_SPARSE_PREFILL:
      return enqueue(table.sparse_prefill, readSparsePrefillArgs(block), "sparse_prefill");
    case PMLA_OP_APPEND_KV:
      return enqueue(table.append_kv, readAppendKvArgs(block), "append_kv");
    case PMLA_OP_MERGE_STATES:
      return enqueue(table.merge_states, readMergeStatesArgs(block), "merge_states");
    default:
      return enqueue(table.copy_pages, readCopyPagesArgs(block), "copy_pages");
  }
}

void Plan::retire() {
  device().retire([&table = device().table(), plan = plan_] { table.plan_free(plan); });
}

}  // namespace polymla
