#pragma once

#include <optional>

#include "attention.h"
#include "cost-model.h"
#include "ops.h"
#include "row-blocks.h"
#include "split-results.h"

namespace polymla::cpu {

/** What the plans of scheduled ops know before any launch, and all that their fit depends on. */
struct SplitShape {
  /** @param blocks units that each partition of the schedule is made of */
  SplitShape(const Kernels &kernels, const AttentionShape &attention, const ResultShape &result,
             int64_t blocks, int64_t pageTokens, double maxBatch, double maxPages, int64_t splitPages);

  OpFit fit(const Kernels &kernels) const;

  AttentionShape attention;
  ResultShape result;
  int64_t blocks;
  int64_t pageTokens;
  int64_t splitPages;
  CostModel costs;
  double places; // of partial states in the workspace
  size_t scratchBytes;
};

/** What the thread will probably attend to next. */
struct Upcoming {
  Piece piece;
  int64_t block;
};

/**
 * A launch over a schedule. First units (partition, block) attend to the pieces of a partition, then others combine the
 * pieces of split requests.
 */
class SplitJob : public Job {
public:
  SplitJob(const Kernels &kernels, const SplitShape &shape, const SplitWork &work,
           const SplitResults &results)
      : kernels_(kernels), shape_(shape), work_(work), results_(results) {}

  int phases() const final { return shape_.places > 0 ? 2 : 1; }
  int64_t units(int phase) const final;
  void run(int phase, int64_t unit, Scratch scratch) const final { runBefore(phase, unit, -1, scratch); }
  void runBefore(int phase, int64_t unit, int64_t next, Scratch scratch) const final;

protected:
  /** Attends to all keys of a piece with the query rows of a block. `next` may be null. */
  virtual void attend(const Piece &piece, int64_t block, const Upcoming *next, Attention &attention) const = 0;
  /** Stores what rows [begin, end) of the request got from a piece. */
  void store(const Piece &piece, int64_t begin, int64_t end, Attention &attention) const;

  const Kernels &kernels_;
  const SplitShape &shape_;
  const SplitWork work_;
  const SplitResults results_;

private:
  std::optional<Upcoming> firstOf(int64_t unit) const;
};

} // namespace polymla::cpu
