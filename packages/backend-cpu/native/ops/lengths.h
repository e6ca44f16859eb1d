#pragma once

#include <algorithm>
#include <cstdint>

#include "polymla_backend.h"

namespace polymla::cpu {

/** Indices per page of a sparse decode's schedule. */
constexpr int64_t INDEX_PAGE = 64;

/** `indices` rounded up to whole pages of the schedule. */
inline int64_t wholePages(int64_t indices) { return (indices + INDEX_PAGE - 1) / INDEX_PAGE * INDEX_PAGE; }

/** How many leading indices of a request count, clamped to [0, topk]; `lengths` is null where all do. */
inline int64_t indexCount(const int32_t *lengths, int64_t request, int64_t topk) {
  return lengths == nullptr ? topk : std::clamp<int64_t>(lengths[request], 0, topk);
}

/** The lengths that a launch is scheduled with, from what the device holds. */
class Lengths {
public:
  Lengths(const pmla_decode_problem &problem, const int32_t *seqlens)
      : given_(seqlens), most_(problem.block_table_width * problem.cache.page_size) {}

  /** As sparseLengths in @polymla/core: the extra indices follow whole pages of the main ones. */
  Lengths(const pmla_sparse_decode_problem &problem, const int32_t *topkLength,
          const int32_t *extraTopkLength)
      : given_(topkLength), most_(problem.topk), sparse_(true), extra_(extraTopkLength),
        extraMost_((problem.flags & PMLA_SPARSE_EXTRA) != 0 ? problem.extra_topk : 0) {}

  int64_t operator[](int64_t request) const {
    const int64_t length = indexCount(given_, request, most_);
    if (!sparse_) return length;
    if (extraMost_ == 0) return std::max<int64_t>(length, 1);
    return wholePages(std::max<int64_t>(length, 1)) + indexCount(extra_, request, extraMost_);
  }

private:
  const int32_t *given_;
  int64_t most_;
  bool sparse_ = false;
  const int32_t *extra_ = nullptr;
  int64_t extraMost_ = 0;
};

} // namespace polymla::cpu
