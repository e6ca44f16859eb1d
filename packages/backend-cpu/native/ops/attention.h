#pragma once

#include <optional>

#include "../kernels/kernels.h"
#include "../runtime/job.h"

namespace polymla::cpu {

/** Whether attention has kernels made for this processor: a pmla_grade. */
int attentionGrade(const Kernels &kernels);

/** What all units of a plan have in common. */
struct AttentionShape {
  Compute compute;
  int headDim;
  int valueDim;
  int rows; // query rows of a unit at most, 1 … MAX_ROWS
};

/** Where gathered tokens come from. */
struct KeySource {
  uint32_t format; // pmla_kv_format
  /** Multiplies the keys; other than 1 only with Compute::F32. */
  float factor = 1;
};

/**
 * Attention of a block of query rows over keys that come one after the other, in the memory of one unit. Keys are
 * grouped into tiles as they come, whatever memory they lie in.
 */
class Attention {
public:
  static size_t scratchBytes(const Kernels &kernels, const AttentionShape &shape);

  Attention(const Kernels &kernels, const AttentionShape &shape, Scratch scratch);

  /** [rows]: to be filled in before `begin`. */
  const void **queries() { return queryRows_; }
  /** Forgets all keys. `scale`: of the logits. */
  void begin(int count, uint32_t dtype, float scale);

  /** A tile that lies in the cache as the kernel wants it; `visible` as in KeyTile, from `masks`; `scales` likewise. */
  void addTile(const std::byte *keys, int64_t stride, int count, const uint64_t *visible, const std::byte *scales);
  /** The first tile of what comes after `finish`, for its keys to be fetched before. */
  void expect(const std::byte *keys, int64_t stride, int count, const std::byte *scales) {
    expected_ = {keys, stride, count, nullptr, scales};
  }
  /** [rows], until the next tile is added. */
  uint64_t *masks() { return visibleBits_ + tileCount_ * shape_.rows; }

  /** One token, its scales apart only in FP8_584. True when it fills a tile, which then must be closed. */
  bool addToken(const KeySource &source, const std::byte *token, const std::byte *scales) {
    if (tokenCount_ > decoded_ && source.format != pending_.format) decode();
    pending_ = source;
    tokens_[tokenCount_] = token;
    tokenScales_[tokenCount_] = scales;
    return ++tokenCount_ == TILE_KEYS;
  }
  /** Tokens added since the last tile. */
  int openTokens() const { return tokenCount_; }
  /** Makes a tile of the tokens added, if there are any; `visible` as in KeyTile. */
  void closeTile(const uint64_t *visible);

  /**
   * Results of all keys: out [count, valueDim], lse [count] and, if wanted, maxLogit [count]. A row that saw nothing: 0,
   * +Infinity, −Infinity.
   */
  void finish(float *out, float *lse, float *maxLogit);
  /** Memory for the first two, until the next `begin`. */
  float *outRows() { return outs_; }
  float *lseRows() { return lses_; }

private:
  void decode();
  void flush();

  const Kernels &kernels_;
  AttentionShape shape_;
  void *state_;
  float *outs_;
  float *lses_;
  const void **queryRows_;
  std::byte *gathered_;
  uint64_t *visibleBits_;
  KeyTile *tiles_;
  std::optional<KeyTile> expected_;
  const std::byte **tokens_;
  const std::byte **tokenScales_;
  int tileCount_ = 0;
  int tokenCount_ = 0;
  int decoded_ = 0; // of the tokens, those that are in `gathered` already
  KeySource pending_{};
  size_t bytes_;
};

} // namespace polymla::cpu
