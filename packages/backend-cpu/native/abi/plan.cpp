#include "kit/args.h"
#include "enqueue.h"
#include "kit/entries.h"
#include "kit/read.h"
#include "kit/report.h"

namespace polymla::entries {

using namespace cpu;

namespace {

OpFit answer(const Device &device, const AnyProblem &problem) {
  OpFit fit;
  fit.why = tooLarge(problem);
  return fit.why.empty() ? fitOp(device.kernels, &problem.head) : fit;
}

} // namespace

pmla_status fit(pmla_device device, const pmla_problem *problem, pmla_fit *fit, pmla_error *error) {
  return guarded(error, [&] {
    const Device &open = checked(device, "device");
    writeFit(fit, answer(open, readProblem(problem)));
  });
}

pmla_status plan_new(pmla_device device, const pmla_problem *problem, pmla_plan *plan, pmla_error *error) {
  return guarded(error, [&] {
    Device &open = checked(device, "device");
    requirePointer(plan, "plan");
    auto prepared = std::make_shared<PreparedPlan>();
    prepared->problem = readProblem(problem);
    const OpFit answered = answer(open, prepared->problem);
    prepared->fit = answered;
    if (prepared->fit.grade == PMLA_FIT_NO) {
      throw makeFailure(PMLA_UNSUPPORTED, "", "%s: %s", opName(prepared->problem.head.op),
                        prepared->fit.why.c_str());
    }
    prepared->what = describe(prepared->problem);
    prepared->scratch = open.scratch(answered.scratchBytes);
    prepared->plan = makePlan(open.kernels, &prepared->problem.head);
    *plan = toHandle(new PlanHandle{open, std::move(prepared)});
  });
}

void plan_free(pmla_plan plan) {
  PlanHandle *handle = pointed(plan);
  if (!handle->device.lost()) delete handle;
}

pmla_status choose(pmla_plan plan, const pmla_load *load, pmla_choice *choice, pmla_error *error) {
  return guarded(error, [&] {
    const PreparedPlan &prepared = *checked(plan, "plan").prepared;
    pmla_choice chosen = prepared.plan->choose(readLoad(prepared, load));
    chosen.reserved = 0;
    writeStruct(choice, chosen, "choice");
  });
}

pmla_status schedule(pmla_plan plan, pmla_stream stream, const pmla_schedule_args *args, pmla_error *error) {
  return guarded(error, [&] {
    const PlanHandle &scheduled = checked(plan, "plan");
    StreamHandle &on = requireSameDevice(scheduled.device, pointed(stream), "stream");
    const std::shared_ptr<const PreparedPlan> &prepared = scheduled.prepared;
    enqueue(on, {prepared->plan->schedule(readScheduleArgs(*prepared, args)), prepared->what.c_str(),
                 prepared->scratch, prepared});
  });
}

pmla_status launch(uint32_t op, pmla_plan plan, pmla_stream stream, const void *args, pmla_error *error) {
  return guarded(error, [&] {
    const PlanHandle &launched = checked(plan, "plan");
    StreamHandle &on = requireSameDevice(launched.device, pointed(stream), "stream");
    const std::shared_ptr<const PreparedPlan> &prepared = launched.prepared;
    requireOp(*prepared, op);
    const AnyArgs read = readArgs(*prepared, args);
    enqueue(on, {prepared->plan->launch(&read), prepared->what.c_str(), prepared->scratch, prepared});
  });
}

} // namespace polymla::entries
