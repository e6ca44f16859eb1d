#pragma once

#include <algorithm>
#include <cstdint>

#include "polymla_backend.h"

namespace polymla::cpu {

/** Which keys of one request its query tokens see; see pmla_mask. */
class Visibility {
public:
  /** @param tree_ the request's rows of the tree_ mask_; null for other masks */
  Visibility(const pmla_decode_problem &problem, int64_t length, const int32_t *tree)
      : mask_(problem.mask), queryTokens_(problem.query_tokens), length_(length), tree_(tree) {}

  /** Keys before it are seen by token s and all later ones. */
  int64_t commonEnd(int64_t s) const {
    if (mask_ == PMLA_MASK_TREE) return length_ - queryTokens_;
    return mask_ == PMLA_MASK_CAUSAL ? length_ - (queryTokens_ - 1 - s) : length_;
  }

  /** Keys from it on are seen by none of the tokens up to s. */
  int64_t end(int64_t s) const {
    return std::max<int64_t>(mask_ == PMLA_MASK_CAUSAL ? length_ - (queryTokens_ - 1 - s) : length_, 0);
  }

  /** Whether token s sees key j of the request. */
  bool sees(int64_t s, int64_t j) const {
    if (j < commonEnd(s)) return true;
    if (mask_ != PMLA_MASK_TREE) return false;
    const int64_t bit = j - (length_ - queryTokens_);
    const int64_t words = (queryTokens_ + 31) / 32;
    return (static_cast<uint32_t>(tree_[s * words + bit / 32]) >> (bit % 32) & 1) != 0;
  }

private:
  uint32_t mask_;
  int64_t queryTokens_;
  int64_t length_;
  const int32_t *tree_;
};

} // namespace polymla::cpu
