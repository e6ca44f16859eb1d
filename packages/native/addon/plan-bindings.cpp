#include "bindings.h"
#include "plan.h"

namespace polymla {
namespace {

/** device => the reason why it cannot do the problem in the block, or null */
Napi::Value supports(const Napi::CallbackInfo &info) {
  const auto answer = fit(deviceAt(info, 0), readProblem(Environment::of(info).block()));
  if (answer.why.empty()) return info.Env().Null();
  return Napi::String::New(info.Env(), answer.why);
}

/** device => plan of the problem in the block, where its workspace, partitions, overhead and schedules come */
Napi::Value prepare(const Napi::CallbackInfo &info) {
  auto &device = deviceAt(info, 0);
  double *block = Environment::of(info).block();
  const Problem problem = readProblem(block);
  const auto answer = fit(device, problem);
  if (!answer.why.empty()) device.fail({PMLA_UNSUPPORTED, 0, answer.why, "", ""});
  const auto plan = std::make_shared<Plan>(device.shared_from_this(), problem);
  block[0] = static_cast<double>(answer.workspaceBytes);
  block[1] = static_cast<double>(answer.maxPartitions);
  block[2] = static_cast<double>(answer.fixedOverhead);
  block[3] = answer.schedules;
  return wrapped<HeldHandle>(info.Env(), plan);
}

/** plan => void; the block has batch, total and longest pages, and gets partitions and overhead */
Napi::Value choose(const Napi::CallbackInfo &info) {
  double *block = Environment::of(info).block();
  BlockReader from(block);
  pmla_load load{};
  load.size = sizeof load;
  load.batch = from.integer();
  load.total_pages = from.integer();
  load.longest_pages = from.integer();
  const auto choice = handleAt<Plan>(info, 0).choose(load);
  block[0] = static_cast<double>(choice.partitions);
  block[1] = static_cast<double>(choice.fixed_overhead);
  return info.Env().Undefined();
}

/** (plan, stream) => void */
Napi::Value schedule(const Napi::CallbackInfo &info) {
  handleAt<Plan>(info, 0).schedule(handleAt<Stream>(info, 1), Environment::of(info).block());
  return info.Env().Undefined();
}

/** (plan, stream) => void */
Napi::Value launch(const Napi::CallbackInfo &info) {
  handleAt<Plan>(info, 0).launch(handleAt<Stream>(info, 1), Environment::of(info).block());
  return info.Env().Undefined();
}

}  // namespace

void exportPlans(Napi::Object exports, Environment *environment) {
  exportFunction<supports>(exports, "supports", environment);
  exportFunction<prepare>(exports, "prepare", environment);
  exportFunction<choose>(exports, "choose", environment);
  exportFunction<schedule>(exports, "schedule", environment);
  exportFunction<launch>(exports, "launch", environment);
}

}  // namespace polymla
