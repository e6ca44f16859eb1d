// The oracle as a library of its own: the runtime of native/gpu over one op, in double precision. Tests load it beside the
// backend, on the same GPU.
#include "gpu/library/plan.h"

#include "oracle-decode.h"

namespace polymla {
namespace {

class OraclePlan : public Plan {
 public:
  explicit OraclePlan(const pmla_decode_problem& problem) : problem_(problem) {}
  void launch(const AnyArgs& args, cudaStream_t stream) override { test::launchOracle(problem_, args.decode, stream); }

 private:
  const pmla_decode_problem problem_;
};

std::string refusal(const AnyProblem& problem) {
  if (problem.head.op != PMLA_OP_DECODE) return "op is not decode, and the oracle has no other";
  const pmla_decode_problem& decode = problem.decode;
  if (decode.out_dtype != PMLA_F32) return "out_dtype is not f32, and the oracle rounds to no other";
  if (decode.q_dtype == PMLA_E4M3 || decode.cache.format > PMLA_KV_F32) return "a dtype is e4m3, and the oracle takes wider ones";
  if (decode.value_dim > 1024 || decode.cache.head_dim > 4096) return "head_dim or value_dim is beyond what a block of the oracle holds";
  if (decode.max_batch * decode.query_tokens * decode.heads > INT32_MAX) return "there are more query rows than blocks of a grid";
  return "";
}

}  // namespace

Fit fitPlan(const DeviceTraits&, const AnyProblem& problem) {
  Fit fit;
  fit.why = refusal(problem);
  if (fit.why.empty()) fit.grade = PMLA_FIT_CORRECT;
  return fit;
}

std::unique_ptr<Plan> makePlan(Device&, const AnyProblem& problem) { return std::make_unique<OraclePlan>(problem.decode); }

}  // namespace polymla
