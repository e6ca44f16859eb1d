#include "merge-states.h"

#include "combine.h"
#include "paged-cache.h"

namespace polymla::cpu {
namespace {

constexpr int64_t ROWS_PER_UNIT = 16;

/** A unit is a block of rows [batch, queryTokens, heads]. */
class MergeStatesJob : public Job {
public:
  MergeStatesJob(const Kernels &kernels, const pmla_merge_states_problem &problem,
                 const pmla_merge_states_args &args)
      : kernels_(kernels), problem_(problem), args_(args) {}

  int phases() const override { return 1; }
  int64_t units(int) const override { return (rows() + ROWS_PER_UNIT - 1) / ROWS_PER_UNIT; }

  void run(int, int64_t unit, Scratch scratch) const override {
    const int64_t end = std::min((unit + 1) * ROWS_PER_UNIT, rows());
    for (int64_t row = unit * ROWS_PER_UNIT; row < end; row++) merge(row, scratch);
  }

private:
  int64_t rows() const { return problem_.batch * problem_.query_tokens * problem_.heads; }

  void merge(int64_t row, Scratch scratch) const {
    const int64_t head = row % problem_.heads;
    const int64_t s = row / problem_.heads % problem_.query_tokens;
    const int64_t request = row / problem_.heads / problem_.query_tokens;
    auto *merged = reinterpret_cast<float *>(scratch.memory);
    float *decoded = merged + problem_.value_dim;
    const auto lseOf = [&](int64_t part) {
      const double lse = args_.lses[part * args_.lses_strides[0] + request * args_.lses_strides[1] +
                                    head * args_.lses_strides[2] + s];
      return std::isfinite(lse) ? lse : NOTHING_SEEN;
    };
    const auto outOf = [&](int64_t part) -> const float * {
      const int64_t at = part * args_.outs_strides[0] + request * args_.outs_strides[1] +
                         s * args_.outs_strides[2] + head * args_.outs_strides[3];
      const void *from = static_cast<const std::byte *>(args_.outs) + at * itemSize(problem_.dtype);
      if (problem_.dtype == PMLA_F32) return static_cast<const float *>(from);
      kernels_.decode(problem_.dtype, from, decoded, problem_.value_dim);
      return decoded;
    };
    const double lse = combineParts(kernels_, problem_.parts, problem_.value_dim, lseOf, outOf, merged);
    auto *out = static_cast<std::byte *>(args_.out) + row * problem_.value_dim * itemSize(problem_.out_dtype);
    kernels_.encode(problem_.out_dtype, merged, out, problem_.value_dim);
    const int64_t lseAt = (request * problem_.heads + head) * problem_.query_tokens + s;
    if (args_.lse != nullptr) args_.lse[lseAt] = publicLse(lse);
  }

  const Kernels &kernels_;
  const pmla_merge_states_problem &problem_;
  const pmla_merge_states_args args_;
};

class MergeStatesPlan : public Plan {
public:
  MergeStatesPlan(const Kernels &kernels, const pmla_merge_states_problem &problem)
      : kernels_(kernels), problem_(problem) {}

  std::shared_ptr<const Job> launch(const void *args) const override {
    return std::make_shared<MergeStatesJob>(kernels_, problem_,
                                            *static_cast<const pmla_merge_states_args *>(args));
  }

private:
  const Kernels &kernels_;
  const pmla_merge_states_problem problem_;
};

} // namespace

OpFit fitMergeStates(const pmla_merge_states_problem &problem) {
  OpFit fit;
  fit.grade = PMLA_FIT_CORRECT;
  fit.scratchBytes = 2 * static_cast<size_t>(problem.value_dim) * sizeof(float);
  return fit;
}

std::unique_ptr<Plan> makeMergeStatesPlan(const Kernels &kernels, const pmla_merge_states_problem &problem) {
  return std::make_unique<MergeStatesPlan>(kernels, problem);
}

} // namespace polymla::cpu
