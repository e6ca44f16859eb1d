// A port that does one op: mergeStates, in fp32.
#include "device.h"

#include <cmath>
#include <limits>

PMLA_ELF_NOTE;

namespace {

using Problem = pmla_merge_states_problem;

/** Whether a struct is there as far as version 1.0 has it; nothing past its end may be read. */
bool isWhole(const pmla_problem *problem) {
  if (problem == nullptr || problem->size < sizeof *problem) return false;
  return problem->op != PMLA_OP_MERGE_STATES || problem->size >= sizeof(Problem);
}

/** Why the device cannot do a problem; NULL when it can, and `read` is it. */
const char *whyNot(const pmla_problem *problem, Problem &read) {
  if (problem->op != PMLA_OP_MERGE_STATES) return "op: only mergeStates is implemented";
  // What a newer host's struct has beyond ours must be zero: pmla_read sees to it.
  if (pmla_read(&read, sizeof read, problem, sizeof read) != PMLA_OK) return "problem: its struct is not of version 1.0";
  if (read.dtype != PMLA_F32 || read.out_dtype != PMLA_F32) return "dtype: only f32 is implemented";
  constexpr int64_t LARGEST = int64_t{1} << 30;
  const int64_t sizes[] = {read.batch, read.query_tokens, read.heads, read.value_dim, read.parts};
  double elements = 1;
  for (const int64_t size : sizes) {
    if (size < 0 || size > LARGEST) return "sizes: expected 0 to 2^30";
    elements *= static_cast<double>(size > 0 ? size : 1);
  }
  if (elements > 0x1p58) return "sizes: all parts together have more than 2^58 elements";
  if (read.query_tokens < 1 || read.heads < 1) return "query_tokens, heads: expected at least 1";
  if (read.value_dim < 16 || read.value_dim % 16 != 0) return "value_dim: expected a multiple of 16";
  return nullptr;
}

pmla_status fit(pmla_device, const pmla_problem *problem, pmla_fit *answer, pmla_error *error) {
  if (!isWhole(problem)) return port::fail(error, PMLA_INVALID_ARGUMENT, "problem: its struct ends too early");
  Problem read;
  const char *why = whyNot(problem, read);
  return why != nullptr ? port::refuse(answer, why) : port::accept(answer);
}

pmla_status planNew(pmla_device, const pmla_problem *problem, pmla_plan *plan, pmla_error *error) {
  if (!isWhole(problem)) return port::fail(error, PMLA_INVALID_ARGUMENT, "problem: its struct ends too early");
  Problem read;
  if (const char *why = whyNot(problem, read)) return port::fail(error, PMLA_UNSUPPORTED, why);
  auto *made = new (std::nothrow) Problem(read);
  if (made == nullptr) return port::outOfMemory(error);
  *plan = reinterpret_cast<pmla_plan>(made);
  return PMLA_OK;
}

/** One row of the result: parts are added in order, those without a finite lse are empty. */
void mergeRow(const Problem &p, const pmla_merge_states_args &a, int64_t b, int64_t s, int64_t h) {
  const float *lses = a.lses + b * a.lses_strides[1] + h * a.lses_strides[2] + s;
  const float *outs = static_cast<const float *>(a.outs) + b * a.outs_strides[1] + s * a.outs_strides[2] + h * a.outs_strides[3];
  float *out = static_cast<float *>(a.out) + ((b * p.query_tokens + s) * p.heads + h) * p.value_dim;
  double largest = -INFINITY, total = 0;
  const auto lseOf = [&](int64_t part) { return static_cast<double>(lses[part * a.lses_strides[0]]); };
  for (int64_t i = 0; i < p.parts; i++) {
    if (std::isfinite(lseOf(i))) largest = std::fmax(largest, lseOf(i));
  }
  for (int64_t i = 0; i < p.parts; i++) {
    if (std::isfinite(lseOf(i))) total += std::exp(lseOf(i) - largest);
  }
  for (int64_t d = 0; d < p.value_dim; d++) {
    double sum = 0;
    for (int64_t i = 0; i < p.parts; i++) {
      if (std::isfinite(lseOf(i))) sum += std::exp(lseOf(i) - largest) * outs[i * a.outs_strides[0] + d];
    }
    out[d] = total > 0 ? static_cast<float>(sum / total) : 0.0f;
  }
  if (a.lse == nullptr) return;
  const double lse = total > 0 ? largest + std::log(total) : std::numeric_limits<double>::infinity();
  a.lse[(b * p.heads + h) * p.query_tokens + s] = static_cast<float>(lse);
}

pmla_status mergeStates(pmla_plan plan, pmla_stream, const pmla_merge_states_args *args, pmla_error *) {
  const Problem &p = *reinterpret_cast<const Problem *>(plan);
  for (int64_t b = 0; b < p.batch; b++) {
    for (int64_t s = 0; s < p.query_tokens; s++) {
      for (int64_t h = 0; h < p.heads; h++) mergeRow(p, *args, b, s, h);
    }
  }
  return PMLA_OK;
}

const pmla_library table = [] {
  pmla_library t = port::makeTable("worked");
  t.fit = fit;
  t.plan_new = planNew;
  t.plan_free = [](pmla_plan plan) { delete reinterpret_cast<Problem *>(plan); };
  t.merge_states = mergeStates;
  return t;
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
