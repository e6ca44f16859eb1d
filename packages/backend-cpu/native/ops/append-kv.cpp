#include "append-kv.h"

#include <algorithm>

#include "token-writer.h"

namespace polymla::cpu {
namespace {

constexpr int64_t TOKENS_PER_UNIT = 16;

/** Turns each pair (x, y) by its angle: (x·c − y·s, y·c + x·s). `row` holds all cosines, then all sines. */
void rotate(double *key, int64_t ropeDim, uint32_t style, const float *row) {
  const int64_t pairs = ropeDim / 2;
  for (int64_t i = 0; i < pairs; i++) {
    double &x = key[style == PMLA_ROTARY_INTERLEAVED ? 2 * i : i];
    double &y = key[style == PMLA_ROTARY_INTERLEAVED ? 2 * i + 1 : i + pairs];
    const double c = row[i];
    const double s = row[pairs + i];
    const double turned = x * c - y * s;
    y = y * c + x * s;
    x = turned;
  }
}

class AppendKvJob : public Job {
public:
  AppendKvJob(const Kernels &kernels, const pmla_append_kv_problem &problem, const pmla_append_kv_args &args)
      : kernels_(kernels), problem_(problem), args_(args),
        writer_(problem.cache, args.cache, args.descale_k) {}

  int phases() const override { return 1; }
  int64_t units(int) const override { return (args_.tokens + TOKENS_PER_UNIT - 1) / TOKENS_PER_UNIT; }

  void run(int, int64_t unit, Scratch scratch) const override {
    const int64_t end = std::min((unit + 1) * TOKENS_PER_UNIT, args_.tokens);
    for (int64_t token = unit * TOKENS_PER_UNIT; token < end; token++) {
      if (!writer_.layout().hasToken(args_.slots[token])) continue;
      if (rotates() && (args_.positions[token] < 0 || args_.positions[token] >= problem_.table_length))
        continue;
      for (int64_t head = 0; head < problem_.cache.heads_kv; head++) append(token, head, scratch);
    }
  }

private:
  bool rotates() const { return problem_.rotary != PMLA_ROTARY_NONE; }

  void append(int64_t token, int64_t head, Scratch scratch) const {
    const int64_t headDim = problem_.cache.head_dim;
    const int64_t latentDim = headDim - problem_.rope_dim;
    auto *key = reinterpret_cast<double *>(scratch.memory);
    auto *numbers = reinterpret_cast<float *>(key + headDim);
    const auto read = [&](const void *from, const int64_t *strides, float *to, int64_t count) {
      const int64_t at = token * strides[0] + head * strides[1];
      kernels_.decode(problem_.dtype, static_cast<const std::byte *>(from) + at * itemSize(problem_.dtype),
                      to, count);
    };
    read(args_.latent, args_.latent_strides, numbers, latentDim);
    if (problem_.rope_dim > 0)
      read(args_.rope_key, args_.rope_key_strides, numbers + latentDim, problem_.rope_dim);
    std::copy(numbers, numbers + headDim, key);
    if (rotates()) {
      const float *row = args_.rotary_table + args_.positions[token] * problem_.rope_dim;
      rotate(key + latentDim, problem_.rope_dim, problem_.rotary, row);
    }
    writer_.write(args_.slots[token], head, key);
  }

  const Kernels &kernels_;
  const pmla_append_kv_problem &problem_;
  const pmla_append_kv_args args_;
  const TokenWriter writer_;
};

class AppendKvPlan : public Plan {
public:
  AppendKvPlan(const Kernels &kernels, const pmla_append_kv_problem &problem)
      : kernels_(kernels), problem_(problem) {}

  std::shared_ptr<const Job> launch(const void *args) const override {
    return std::make_shared<AppendKvJob>(kernels_, problem_, *static_cast<const pmla_append_kv_args *>(args));
  }

private:
  const Kernels &kernels_;
  const pmla_append_kv_problem problem_;
};

} // namespace

OpFit fitAppendKv(const pmla_append_kv_problem &problem) {
  OpFit fit;
  fit.grade = PMLA_FIT_CORRECT;
  fit.scratchBytes = static_cast<size_t>(problem.cache.head_dim) * (sizeof(double) + sizeof(float));
  return fit;
}

std::unique_ptr<Plan> makeAppendKvPlan(const Kernels &kernels, const pmla_append_kv_problem &problem) {
  return std::make_unique<AppendKvPlan>(kernels, problem);
}

} // namespace polymla::cpu
