#include "sparse-prefill.h"

#include "attention.h"
#include "combine.h"
#include "lengths.h"
#include "paged-cache.h"
#include "row-blocks.h"

namespace polymla::cpu {
namespace {

/** The cache format that holds numbers of a dtype. */
uint32_t formatOf(uint32_t dtype) {
  return dtype == PMLA_F32 ? PMLA_KV_F32 : dtype == PMLA_F16 ? PMLA_KV_F16 : PMLA_KV_BF16;
}

struct PrefillShape {
  PrefillShape(const Kernels &kernels, const pmla_sparse_prefill_problem &problem)
      : headBlocks(problem.heads),
        format(formatOf(problem.dtype)), attention{kernels.compute(problem.dtype, format),
                                                   static_cast<int>(problem.head_dim),
                                                   static_cast<int>(problem.value_dim),
                                                   static_cast<int>(headBlocks.size)},
        scratchBytes(Attention::scratchBytes(kernels, attention) + MAX_LOGIT_BYTES) {}

  /** At the end of scratch. */
  static constexpr size_t MAX_LOGIT_BYTES = MAX_ROWS * sizeof(float);

  RowBlocks headBlocks;
  uint32_t format;
  AttentionShape attention;
  size_t scratchBytes;
};

/** A unit is a block of heads of one query token. */
class SparsePrefillJob : public Job {
public:
  SparsePrefillJob(const Kernels &kernels, const pmla_sparse_prefill_problem &problem,
                   const PrefillShape &shape, const pmla_sparse_prefill_args &args)
      : kernels_(kernels), problem_(problem), shape_(shape), args_(args) {}

  int phases() const override { return 1; }
  int64_t units(int) const override { return problem_.query_tokens * shape_.headBlocks.count; }
  void run(int, int64_t unit, Scratch scratch) const override;

private:
  void attendIndices(int64_t s, Attention &attention) const;
  void store(int64_t s, int64_t head, float *values, float lse, float maxLogit) const;

  const Kernels &kernels_;
  const pmla_sparse_prefill_problem &problem_;
  const PrefillShape &shape_;
  const pmla_sparse_prefill_args args_;
};

void SparsePrefillJob::run(int, int64_t unit, Scratch scratch) const {
  const int64_t s = unit / shape_.headBlocks.count;
  const int64_t begin = shape_.headBlocks.begin(unit % shape_.headBlocks.count);
  const int64_t end = shape_.headBlocks.end(unit % shape_.headBlocks.count);
  Attention attention(kernels_, shape_.attention, scratch);
  const auto *q = static_cast<const std::byte *>(args_.q);
  for (int64_t head = begin; head < end; head++) {
    const int64_t at = s * args_.q_strides[0] + head * args_.q_strides[1];
    attention.queries()[head - begin] = q + at * itemSize(problem_.dtype);
  }
  attention.begin(static_cast<int>(end - begin), problem_.dtype, static_cast<float>(problem_.softmax_scale));
  attendIndices(s, attention);

  float *outs = attention.outRows();
  float *lses = attention.lseRows();
  auto *maxLogits =
      reinterpret_cast<float *>(scratch.memory + shape_.scratchBytes - PrefillShape::MAX_LOGIT_BYTES);
  attention.finish(outs, lses, maxLogits);
  for (int64_t head = begin; head < end; head++) {
    const int64_t row = head - begin;
    store(s, head, outs + row * problem_.value_dim, lses[row], maxLogits[row]);
  }
}

void SparsePrefillJob::attendIndices(int64_t s, Attention &attention) const {
  const int32_t *indices = args_.indices + s * problem_.topk;
  const int64_t count = indexCount(args_.topk_length, s, problem_.topk);
  const auto *kv = static_cast<const std::byte *>(args_.kv);
  const int64_t stride = args_.kv_stride * itemSize(problem_.dtype);
  const KeySource source{shape_.format};
  for (int64_t i = 0; i < count; i++) {
    const int64_t key = indices[i];
    if (key < 0 || key >= problem_.keys) continue;
    if (attention.addToken(source, kv + key * stride, nullptr)) attention.closeTile(nullptr);
  }
  attention.closeTile(nullptr);
}

void SparsePrefillJob::store(int64_t s, int64_t head, float *values, float lse, float maxLogit) const {
  const int64_t row = s * problem_.heads + head;
  scaleRow(values, problem_.value_dim, sinkFactor(args_.sink, head, innerLse(lse)));
  auto *out = static_cast<std::byte *>(args_.out) + row * problem_.value_dim * itemSize(problem_.out_dtype);
  kernels_.encode(problem_.out_dtype, values, out, problem_.value_dim);
  if (args_.lse != nullptr) args_.lse[row] = lse;
  if (args_.max_logits != nullptr) args_.max_logits[row] = maxLogit;
}

class SparsePrefillPlan : public Plan {
public:
  SparsePrefillPlan(const Kernels &kernels, const pmla_sparse_prefill_problem &problem)
      : kernels_(kernels), problem_(problem), shape_(kernels, problem) {}

  std::shared_ptr<const Job> launch(const void *args) const override {
    return std::make_shared<SparsePrefillJob>(kernels_, problem_, shape_,
                                              *static_cast<const pmla_sparse_prefill_args *>(args));
  }

private:
  const Kernels &kernels_;
  const pmla_sparse_prefill_problem problem_;
  const PrefillShape shape_;
};

} // namespace

OpFit fitSparsePrefill(const Kernels &kernels, const pmla_sparse_prefill_problem &problem) {
  OpFit fit;
  fit.grade = attentionGrade(kernels);
  fit.scratchBytes = PrefillShape(kernels, problem).scratchBytes;
  return fit;
}

std::unique_ptr<Plan> makeSparsePrefillPlan(const Kernels &kernels,
                                            const pmla_sparse_prefill_problem &problem) {
  return std::make_unique<SparsePrefillPlan>(kernels, problem);
}

} // namespace polymla::cpu
