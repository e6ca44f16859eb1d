#include "kit/entries.h"
#include "handles.h"
#include "kit/read.h"

namespace polymla::entries {
namespace {

Fit answer(const Device& device, const AnyProblem& problem) {
  Fit fit;
  fit.why = tooLarge(problem);
  return fit.why.empty() ? fitPlan(device.traits, problem) : fit;
}

/** Enqueues what `launch(plan, stream)` does, and remembers it. */
template <class Enqueue>
pmla_status enqueue(pmla_plan plan, pmla_stream stream, pmla_error* error, Enqueue&& launch) {
  return guardedOn(plan, "plan", error, [&](PlanHandle& launched) {
    const StreamHandle& on = requireSameDevice(launched.device, pointed(stream), "stream");
    launched.device.enqueued(launched.what);
    launch(launched, on.stream);
  });
}

}  // namespace

pmla_status fit(pmla_device device, const pmla_problem* problem, pmla_fit* fit, pmla_error* error) {
  return guardedOn(device, "device", error, [&](const Device& open) { writeFit(fit, answer(open, readProblem(problem))); });
}

pmla_status plan_new(pmla_device device, const pmla_problem* problem, pmla_plan* plan, pmla_error* error) {
  return guardedOn(device, "device", error, [&](Device& open) {
    requirePointer(plan, "plan");
    FitProblem fitted;
    fitted.problem = readProblem(problem);
    fitted.fit = answer(open, fitted.problem);
    if (fitted.fit.grade == PMLA_FIT_NO) {
      throw makeFailure(PMLA_UNSUPPORTED, "", "%s: %s", opName(fitted.problem.head.op), fitted.fit.why.c_str());
    }
    const char* const what = open.keep(describe(fitted.problem));
    auto made = makePlan(open, fitted.problem);
    *plan = toHandle(new PlanHandle{open, std::move(fitted), what, std::move(made)});
  });
}

void plan_free(pmla_plan plan) {
  freeHandle(plan, [](PlanHandle& handle) { handle.plan.reset(); });
}

pmla_status choose(pmla_plan plan, const pmla_load* load, pmla_choice* choice, pmla_error* error) {
  return guardedOn(plan, "plan", error, [&](PlanHandle& asked) {
    const pmla_choice chosen = asked.plan->choose(readLoad(asked.fitted, load));
    writeStruct(choice, chosen, "choice");
  });
}

pmla_status schedule(pmla_plan plan, pmla_stream stream, const pmla_schedule_args* args, pmla_error* error) {
  return enqueue(plan, stream, error, [&](PlanHandle& scheduled, rt::Stream on) {
    scheduled.plan->schedule(readScheduleArgs(scheduled.fitted, args), on);
  });
}

pmla_status launch(uint32_t op, pmla_plan plan, pmla_stream stream, const void* args, pmla_error* error) {
  return enqueue(plan, stream, error, [&](PlanHandle& launched, rt::Stream on) {
    requireOp(launched.fitted, op);
    launched.plan->launch(readArgs(launched.fitted, args), on);
  });
}

}  // namespace polymla::entries
