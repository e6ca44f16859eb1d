#include "gpu/library/plan.h"

#include "gpu/ops/append-kv.h"
#include "gpu/ops/copy-pages.h"
#include "gpu/ops/merge-states.h"
#include "decode-plan.h"
#include "gpu/library/device.h"

namespace polymla {
namespace {

/** A plan that is nothing but its problem. */
template <class Problem, class Args>
class OpPlan : public Plan {
 public:
  using Launch = void (*)(const Problem&, const Args&, cudaStream_t);
  OpPlan(const Problem& problem, Args AnyArgs::*args, Launch launch) : problem_(problem), args_(args), launch_(launch) {}
  void launch(const AnyArgs& args, cudaStream_t stream) override { launch_(problem_, args.*args_, stream); }

 private:
  const Problem problem_;
  Args AnyArgs::* const args_;
  const Launch launch_;
};

template <class Problem, class Args>
std::unique_ptr<Plan> opPlan(const Problem& problem, Args AnyArgs::*args, void (*launch)(const Problem&, const Args&, cudaStream_t)) {
  return std::make_unique<OpPlan<Problem, Args>>(problem, args, launch);
}

Fit fits() {
  Fit fit;
  fit.grade = PMLA_FIT_TUNED;
  return fit;
}

}  // namespace

Fit fitPlan(const DeviceTraits& traits, const AnyProblem& problem) {
  switch (problem.head.op) {
    case PMLA_OP_DECODE:
      return fitDecode(traits.units, problem.decode);
    case PMLA_OP_APPEND_KV:
    case PMLA_OP_MERGE_STATES:
    case PMLA_OP_COPY_PAGES:
      return fits();
    default:
      Fit fit;
      fit.why = std::string("op is ") + opName(problem.head.op) + ", and the ops of this backend are decode, append_kv, merge_states and copy_pages";
      return fit;
  }
}

std::unique_ptr<Plan> makePlan(Device& device, const AnyProblem& problem) {
  switch (problem.head.op) {
    case PMLA_OP_DECODE:
      return makeDecodePlan(device, problem.decode);
    case PMLA_OP_APPEND_KV:
      return opPlan(problem.appendKv, &AnyArgs::appendKv, launchAppendKv);
    case PMLA_OP_MERGE_STATES:
      return opPlan(problem.mergeStates, &AnyArgs::mergeStates, launchMergeStates);
    default:
      return opPlan(problem.copyPages, &AnyArgs::copyPages, launchCopyPages);
  }
}

}  // namespace polymla
