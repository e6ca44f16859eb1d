#pragma once
#include <cstdint>

#include "gpu/ops/cache-layout.h"
#include "kit/schedule-walk.h"

namespace polymla {

/** A cache, and how a request's keys are found in it. */
struct KeySet {
  const unsigned char *memory;
  CacheLayout layout;
  uint32_t format;        ///< pmla_kv_format
  const int32_t *entries; ///< block table [batch, width], or indices [batch, query tokens, width]
  int64_t width;
  const int32_t *lengths; ///< [batch], clamped to [0, most]; null: all `most`
  int64_t most;
  float scale;            ///< of an e4m3 cache, where its keys take it as they are brought; else 1

  PMLA_DEVICE int64_t length(int64_t request) const {
    if (lengths == nullptr) return most;
    const int64_t given = lengths[request];
    return given < 0 ? 0 : given < most ? given : most;
  }
};

/**
 * Attention of query rows over keys that are found by a block table or by indices. A unit is a partition of the schedule
 * (without one: a request), a KV head (with indices: a query token), and a block of rows of it.
 */
struct AttendParams {
  const void *q;
  uint32_t qType;        ///< pmla_dtype
  int64_t qStrides[3];   ///< request, token, head; in elements
  bool copiesQueries;    ///< they are numbers of the kernel's type at multiples of 16 bytes

  KeySet keys;
  KeySet extra;          ///< with indices: after whole pages of the others; width 0: none
  bool indexed;
  uint32_t mask;         ///< pmla_mask
  const int32_t *tree;

  int64_t batch;
  int64_t queryTokens;
  int64_t heads;
  int64_t headsKv;
  int headDim;
  int valueDim;
  int64_t rows;          ///< of a unit's KV head or query token
  int64_t rowBlocks;

  const ScheduleRow *schedule; ///< null: a request is a piece of work
  const int32_t *numSplits;
  int64_t partitions;
  int64_t splitPages;
  int64_t pageTokens;    ///< of the schedule
  int64_t places;        ///< for partial results

  void *out;
  uint32_t outType;      ///< pmla_dtype
  float *lse;            ///< [batch, heads, query tokens]; or null
  float *maxLogits;      ///< likewise
  const float *sink;     ///< [heads], or null
  float *partialOut;     ///< [places, query tokens · heads, valueDim]
  float *partialLse;     ///< [places, query tokens · heads]; −Infinity where nothing was seen
  float scaleLog2;       ///< of logits, which are in base 2 here
  float outScale;

  PMLA_BOTH int64_t group() const { return heads / headsKv; }
  PMLA_BOTH int64_t unitsOfPartition() const { return (indexed ? queryTokens : headsKv) * rowBlocks; }
  PMLA_BOTH int64_t units() const { return (schedule == nullptr ? batch : partitions) * unitsOfPartition(); }

  /** As core schedules it: extra indices follow whole pages of the others, and a sparse request has at least one. */
  PMLA_DEVICE int64_t length(int64_t request) const {
    const int64_t first = keys.length(request);
    if (!indexed) return first;
    const int64_t least = first < 1 ? 1 : first;
    return extra.width == 0 ? least : wholePages(least) + extra.length(request);
  }
  PMLA_DEVICE int64_t wholePages(int64_t indices) const { return (indices + pageTokens - 1) / pageTokens * pageTokens; }

  /**
   * Places of partial results. A request of n splits takes n neighbours, one that is not split takes none: with S splits
   * in the requests before it, r of them, at most 2 · (S − r) belong to split ones. Negative where there is no room.
   */
  PMLA_DEVICE int64_t place(int64_t request, int64_t splits) const {
    const int64_t before = numSplits[request];
    const int64_t first = 2 * (before - request) < before ? 2 * (before - request) : before;
    return first >= 0 && first + splits <= places ? first : -1;
  }
};

/** The rows that a block works on: of a KV head, or with indices of a query token. */
struct RowBlock {
  int64_t first;
  int64_t head; ///< KV head; with indices, query token

  PMLA_DEVICE int64_t tokenOf(const AttendParams &p, int64_t row) const { return p.indexed ? head : row / p.group(); }
  PMLA_DEVICE int64_t headOf(const AttendParams &p, int64_t row) const {
    return p.indexed ? row : head * p.group() + row % p.group();
  }
};

/** A run of keys of one request. */
struct Piece {
  int64_t request;
  int64_t begin; ///< positions of keys
  int64_t end;
  int64_t length;
  int64_t place; ///< of its partial result; negative: it is the whole request
};

} // namespace polymla
