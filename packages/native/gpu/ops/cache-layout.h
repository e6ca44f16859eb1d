#pragma once
#include "../dialect/marks.h"

#include <cstdint>

#include "polymla_backend.h"

namespace polymla {

/** Where the tokens of a paged cache of any format lie; lengths in bytes. */
struct CacheLayout {
  static constexpr int64_t token584 = 576;  ///< beside its scales, which follow the tokens of a page
  static constexpr int64_t scales584 = 8;

  int64_t pages = 0;
  int64_t pageSize = 0;
  int64_t tokens = 0;
  int64_t pageBytes = 0;
  int64_t pageStride = 0;
  int64_t tokenStride = 0;
  int64_t headStride = 0;

  CacheLayout() = default;
  explicit CacheLayout(const pmla_kv_layout& layout) : pages(layout.pages), pageSize(layout.page_size), tokens(layout.pages * layout.page_size) {
    const bool packed = layout.format == PMLA_KV_FP8_656 || layout.format == PMLA_KV_FP8_584;
    const int64_t element = layout.format == PMLA_KV_F32 ? 4 : layout.format == PMLA_KV_E4M3 || packed ? 1 : 2;
    headStride = packed ? layout.format == PMLA_KV_FP8_656 ? 656 : token584 : layout.head_dim * element;
    tokenStride = layout.heads_kv * headStride;
    pageBytes = pageSize * (tokenStride + (layout.format == PMLA_KV_FP8_584 ? scales584 : 0));
    pageStride = layout.page_stride * element;
  }

  PMLA_BOTH bool hasPage(int64_t page) const { return page >= 0 && page < pages; }
  /** Whether there is a token page · pageSize + offset. */
  PMLA_BOTH bool hasToken(int64_t slot) const { return slot >= 0 && slot < tokens; }
  PMLA_BOTH int64_t tokenAt(int64_t page, int64_t offset) const { return page * pageStride + offset * tokenStride; }
  PMLA_BOTH int64_t tokenAt(int64_t slot) const { return tokenAt(slot / pageSize, slot % pageSize); }
  /** A token's scales, of the one format that has them apart. */
  PMLA_BOTH int64_t scalesAt(int64_t page, int64_t offset) const {
    return page * pageStride + pageSize * token584 + offset * scales584;
  }
};

}  // namespace polymla
