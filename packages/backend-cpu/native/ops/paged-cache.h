#pragma once

#include <cstddef>
#include <cstdint>

#include "polymla_backend.h"

namespace polymla::cpu {

/** Bytes of an element of a dtype. */
inline int64_t itemSize(uint32_t dtype) { return dtype == PMLA_F32 ? 4 : dtype == PMLA_E4M3 ? 1 : 2; }

/** Where the tokens of a paged cache lie. */
class PagedCache {
public:
  /** Bytes of a 584 token_ beside its scales, which follow the tokens of a page. */
  static constexpr int64_t TOKEN_584 = 576;
  static constexpr int64_t SCALES_584 = 8;

  explicit PagedCache(const pmla_kv_layout &layout) : layout_(layout) {
    switch (layout_.format) {
    case PMLA_KV_FP8_656: head_ = token_ = 656, unit_ = 1; break;
    case PMLA_KV_FP8_584: head_ = token_ = TOKEN_584, unit_ = 1; break;
    default:
      unit_ = layout_.format == PMLA_KV_F32 ? 4 : layout_.format == PMLA_KV_E4M3 ? 1 : 2;
      head_ = layout_.head_dim * unit_;
      token_ = layout_.heads_kv * head_;
    }
  }

  const pmla_kv_layout &shape() const { return layout_; }
  bool hasPage(int64_t page) const { return page >= 0 && page < layout_.pages; }
  /** Whether the cache has the token_ page · page_size + offset. */
  bool hasToken(int64_t index) const { return index >= 0 && index / layout_.page_size < layout_.pages; }
  /** From token_ to token_ of a page. */
  int64_t tokenBytes() const { return token_; }
  int64_t pageBytes() const { return layout_.page_size * (layout_.format == PMLA_KV_FP8_584 ? 584 : token_); }

  /** Bytes from the start of the cache to a page. */
  int64_t pageAt(int64_t page) const { return page * layout_.page_stride * unit_; }
  /** To a token_, of one KV head_. */
  int64_t tokenAt(int64_t page, int64_t offset, int64_t kvHead) const {
    return pageAt(page) + offset * token_ + kvHead * head_;
  }
  /** To a token_'s scales, of the one format that has them apart. */
  int64_t scalesAt(int64_t page, int64_t offset) const {
    return pageAt(page) + layout_.page_size * TOKEN_584 + offset * SCALES_584;
  }

private:
  pmla_kv_layout layout_;
  int64_t unit_;  // bytes of an element of the stride
  int64_t head_;  // bytes from KV head_ to KV head_
  int64_t token_; // bytes from token_ to token_
};

} // namespace polymla::cpu
