#pragma once

#include <cstddef>

#include "paged-cache.h"

namespace polymla::cpu {

/** Writes tokens into a cache, each number rounded once, byte for byte as writeToken of @polymla/core. */
class TokenWriter {
public:
  /** @param descale_ an e4m3 cache_ stores x / descale_; other formats ignore it */
  TokenWriter(const pmla_kv_layout &layout, void *memory, double descale)
      : cache_(layout), memory_(static_cast<std::byte *>(memory)), descale_(descale) {}

  const PagedCache &layout() const { return cache_; }
  /** Quantises `head_dim` numbers into the token page · page_size + offset, which the cache_ has. */
  void write(int64_t index, int64_t kvHead, const double *key) const;

private:
  PagedCache cache_;
  std::byte *memory_;
  double descale_;
};

} // namespace polymla::cpu
