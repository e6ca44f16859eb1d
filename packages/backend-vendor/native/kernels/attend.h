#pragma once
#include "attend-config.h"
#include "key-loader.h"

namespace polymla {

constexpr float minusInfinity = -INFINITY;
constexpr double ln2 = 0.69314718055994530942;

/**
 * A block's work on pieces of requests: softmax over tiles of keys as they come, after FlashAttention. A tile of keys
 * lies in shared memory once, for logits and as values. Teams share the logits' tile by rows and keys, and the results'
 * by columns; weights and the factors that results are corrected with pass through shared memory.
 *
 * @tparam Direct whether keys are 16-byte copies of the cache, and need no conversion
 */
template <class T, class Tiles, bool Direct> class Attend {
  using M = Mma<T>;
  using Shared = AttendShared<T, Tiles>;
  using WideTile = Tile<T, Tiles::width>;
  using WeightTile = Tile<T, Tiles::keys>;
  static constexpr int teams = attendThreads / M::lanes;
  static constexpr int rowTiles = Tiles::rows / 16;
  static constexpr int keyTiles = Tiles::keys / 16;
  static_assert(teams % rowTiles == 0);
  /** Teams that share rows: each takes every so many-th tile of 16 keys. */
  static constexpr int sharers = teams / rowTiles;
  static constexpr int keyGroups = sharers < keyTiles ? sharers : keyTiles;
  static constexpr int keyTilesEach = (keyTiles + sharers - 1) / sharers;
  static constexpr int valueTiles = Tiles::values / 16;
  static constexpr int valueTilesEach = (valueTiles + teams - 1) / teams;
  static constexpr int chunks = WideTile::chunks;

public:
  PMLA_DEVICE Attend(const AttendParams &params, int64_t unit)
      : p_(params), memory_(sharedMemory()), rest_(*reinterpret_cast<typename Shared::Rest *>(memory_ + Shared::rest)),
        thread_(threadIndex()), lane_(thread_ % M::lanes), team_(thread_ / M::lanes), rowTile_(team_ / sharers),
        keyGroup_(team_ % sharers) {
    const int64_t inPartition = unit % p_.unitsOfPartition();
    firstRow_ = inPartition % p_.rowBlocks * Tiles::rows;
    head_ = inPartition / p_.rowBlocks;
    // What lies past the head dim stays zero.
    for (int i = thread_; i < Shared::weights / 16; i += attendThreads) {
      reinterpret_cast<uint4 *>(memory_)[i] = uint4{0, 0, 0, 0};
    }
  }

  /** By the whole block. */
  PMLA_DEVICE void attend(const Piece &piece) {
    syncBlock(); // whatever was before it is done with shared memory
    if (thread_ == 0) rest_.piece = piece;
    loadQueries(piece.request);
    begin(piece);
    syncBlock();
    locate(0);
    if (tiles_ > 1) locate(1);
    syncBlock();
    if (Tiles::stages > 1) copyTile(0);
    for (int tile = 0; tile < tiles_; tile++) {
      if (Tiles::stages > 1) {
        waitCopies<0>();
        syncBlock();
        if (tile + 1 < tiles_) copyTile(tile + 1);
      } else {
        copyTile(tile);
        waitCopies<0>();
        syncBlock();
      }
      addTile(tile);
    }
    finish();
  }

private:
  PMLA_DEVICE WideTile queries() const { return {memory_ + Shared::queries}; }
  PMLA_DEVICE WideTile keyTile(int tile) const {
    return {memory_ + Shared::keys + tile % Tiles::stages * Shared::keyTile};
  }
  PMLA_DEVICE WeightTile weights() const { return {memory_ + Shared::weights}; }

  /** Query token and head of a row of this block. */
  PMLA_DEVICE int64_t tokenOf(int64_t row) const { return p_.indexed ? head_ : row / p_.group(); }
  PMLA_DEVICE int64_t headOf(int64_t row) const { return p_.indexed ? row : head_ * p_.group() + row % p_.group(); }

  PMLA_DEVICE void loadQueries(int64_t request) {
    const int rowChunks = p_.headDim / chunkOf<T>;
    for (int i = thread_; i < Tiles::rows * rowChunks; i += attendThreads) {
      const int row = i / rowChunks;
      const int chunk = i % rowChunks;
      float numbers[chunkOf<T>] = {};
      if (firstRow_ + row < p_.rows) {
        const int64_t at = request * p_.qStrides[0] + tokenOf(firstRow_ + row) * p_.qStrides[1] +
                           headOf(firstRow_ + row) * p_.qStrides[2] + chunk * chunkOf<T>;
        PMLA_UNROLL
        for (int j = 0; j < chunkOf<T>; j++) numbers[j] = loadElement(p_.q, p_.qType, at + j);
      }
      storeTileChunk<T>(queries().chunk(row, chunk), numbers);
    }
  }

  PMLA_DEVICE void begin(const Piece &piece) {
    tiles_ = static_cast<int>((piece.end - piece.begin + Tiles::keys - 1) / Tiles::keys);
    PMLA_UNROLL
    for (int r = 0; r < M::rows; r++) {
      const int64_t row = firstRow_ + rowTile_ * 16 + M::rowOf(lane_, r);
      const int64_t token = tokenOf(row < p_.rows ? row : p_.rows - 1);
      const bool causal = !p_.indexed && p_.mask == PMLA_MASK_CAUSAL;
      const int64_t end = causal ? piece.length - (p_.queryTokens - 1 - token) : piece.length;
      end_[r] = static_cast<int>(min(max(end - piece.begin, int64_t{0}), int64_t{INT32_MAX}));
      largest_[r] = minusInfinity;
      total_[r] = 0;
    }
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int v = 0; v < valueTilesEach; v++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) sums_[t][v][i] = 0;
      }
    }
  }

  /** Finds where the keys of a tile lie. By a thread per key. */
  PMLA_DEVICE void locate(int tile) {
    if (thread_ >= Tiles::keys) return;
    const Piece &piece = rest_.piece;
    const int64_t position = piece.begin + int64_t{tile} * Tiles::keys + thread_;
    const unsigned char *key = nullptr;
    int within = 0;
    if (position < piece.end) {
      const KeySet *set = &p_.keys;
      int64_t slot = -1;
      bool isExtra = false;
      if (!p_.indexed) {
        const int64_t page = position / set->layout.pageSize;
        const int64_t id = set->entries[piece.request * set->width + page];
        if (set->layout.hasPage(id)) slot = id * set->layout.pageSize + position % set->layout.pageSize;
      } else {
        const int64_t row = piece.request * p_.queryTokens + head_;
        const int64_t first = set->length(piece.request);
        const int64_t after = p_.wholePages(first < 1 ? 1 : first);
        if (position < first) {
          slot = set->entries[row * set->width + position];
        } else if (p_.extra.width > 0 && position >= after && position - after < p_.extra.length(piece.request)) {
          set = &p_.extra;
          isExtra = true;
          slot = set->entries[row * set->width + position - after];
        }
      }
      if (set->layout.hasToken(slot)) {
        const int64_t page = slot / set->layout.pageSize;
        within = static_cast<int>(slot - page * set->layout.pageSize);
        key = set->memory + page * set->layout.pageStride + within * set->layout.tokenStride +
              (p_.indexed ? 0 : head_ * set->layout.headStride);
        if (isExtra) within = ~within;
      }
    }
    rest_.key[tile % 2][thread_] = key;
    rest_.within[tile % 2][thread_] = within;
  }

  /** Brings a tile of keys, zeros where there is none: what is not seen must not be NaN either. */
  PMLA_DEVICE void copyTile(int tile) {
    const WideTile to = keyTile(tile);
    const int rowChunks = p_.headDim / chunkOf<T>;
    const int slot = tile % 2;
    if (Direct && rowChunks == chunks) {
      // The usual width, whose quotients are known.
#pragma unroll 3
      for (int n = 0; n < (Tiles::keys * chunks + attendThreads - 1) / attendThreads; n++) {
        const int i = n * attendThreads + thread_;
        if (Tiles::keys * chunks % attendThreads != 0 && i >= Tiles::keys * chunks) break;
        copyChunk(to, slot, i / chunks, i % chunks);
      }
    } else {
      for (int i = thread_; i < Tiles::keys * rowChunks; i += attendThreads) {
        copyChunk(to, slot, i / rowChunks, i % rowChunks);
      }
    }
    commitCopies();
  }

  PMLA_DEVICE void copyChunk(const WideTile &to, int slot, int key, int chunk) {
    const unsigned char *const from = rest_.key[slot][key];
    if constexpr (Direct) {
      copy16(to.chunk(key, chunk), from == nullptr ? p_.q : from + chunk * 16, from != nullptr);
    } else {
      float numbers[chunkOf<T>] = {};
      if (from != nullptr) {
        const int within = rest_.within[slot][key];
        const KeySet &set = within < 0 ? p_.extra : p_.keys;
        loadKey(numbers, set, from, within < 0 ? ~within : within, chunk * chunkOf<T>);
      }
      storeTileChunk<T>(to.chunk(key, chunk), numbers);
    }
  }

  /** @param key from the piece's first on */
  PMLA_DEVICE bool sees(int r, int key) const {
    if (p_.mask != PMLA_MASK_TREE || p_.indexed) return key < end_[r];
    const Piece &piece = rest_.piece;
    const int64_t bit = piece.begin + key - (piece.length - p_.queryTokens);
    if (bit < 0 || bit >= p_.queryTokens) return bit < 0;
    const int64_t row = firstRow_ + rowTile_ * 16 + M::rowOf(lane_, r);
    const int64_t token = tokenOf(row < p_.rows ? row : p_.rows - 1);
    const int64_t words = (p_.queryTokens + 31) / 32;
    const int32_t word = p_.tree[(piece.request * p_.queryTokens + token) * words + bit / 32];
    return (static_cast<uint32_t>(word) >> (bit % 32) & 1) != 0;
  }

  /** The logits of this team, in base 2; −Infinity of keys that a row does not see. */
  PMLA_DEVICE void logits(int tile, float (&found)[keyTilesEach][M::values]) {
    PMLA_UNROLL
    for (int t = 0; t < keyTilesEach; t++) {
      PMLA_UNROLL
      for (int i = 0; i < M::values; i++) found[t][i] = 0;
    }
    const WideTile from = keyTile(tile);
    if (keyGroup_ < keyGroups) {
#pragma unroll 4
      for (int k = 0; k < p_.headDim; k += 16) {
        const auto left = M::loadLeft(queries(), lane_, rowTile_ * 16, k);
        PMLA_UNROLL
        for (int t = 0; t < keyTilesEach; t++) {
          M::multiply(found[t], left, M::loadRows(from, lane_, (keyGroup_ + t * keyGroups) * 16, k));
        }
      }
    }
    const int first = tile * Tiles::keys;
    const int slot = tile % 2;
    PMLA_UNROLL
    for (int t = 0; t < keyTilesEach; t++) {
      PMLA_UNROLL
      for (int i = 0; i < M::values; i++) {
        const int key = (keyGroup_ + t * keyGroups) * 16 + M::columnOf(lane_, i);
        const bool seen = keyGroup_ < keyGroups && rest_.key[slot][key] != nullptr && sees(M::rowIndex(i), first + key);
        found[t][i] = seen ? found[t][i] * p_.scaleLog2 : minusInfinity;
      }
    }
  }

  PMLA_DEVICE static float overRow(float value, bool add) {
    PMLA_UNROLL
    for (int step = M::rowStep; step < M::rowStep * M::rowLanes; step *= 2) {
      const float other = shuffleXor(value, step);
      value = add ? value + other : fmaxf(value, other);
    }
    return value;
  }
  /** Whether this lane speaks for its rows. */
  PMLA_DEVICE bool leads() const { return keyGroup_ < keyGroups && lane_ / M::rowStep % M::rowLanes == 0; }
  PMLA_DEVICE int rowInBlock(int r) const { return rowTile_ * 16 + M::rowOf(lane_, r); }

  PMLA_DEVICE void addTile(int tile) {
    float found[keyTilesEach][M::values];
    logits(tile, found);

    PMLA_UNROLL
    for (int r = 0; r < M::rows; r++) {
      float largest = minusInfinity;
      PMLA_UNROLL
      for (int t = 0; t < keyTilesEach; t++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) {
          if (M::rowIndex(i) == r) largest = fmaxf(largest, found[t][i]);
        }
      }
      largest = overRow(largest, false);
      if (leads()) rest_.partial[keyGroup_][rowInBlock(r)] = largest;
    }
    syncBlock();
    if (tile + 2 < tiles_) locate(tile + 2);

    PMLA_UNROLL
    for (int r = 0; r < M::rows; r++) {
      float largest = largest_[r];
      PMLA_UNROLL
      for (int g = 0; g < keyGroups; g++) largest = fmaxf(largest, rest_.partial[g][rowInBlock(r)]);
      // Nothing seen yet: any finite number will do.
      const float reference = largest == minusInfinity ? 0 : largest;
      const float factor = exp2f(largest_[r] - reference);
      total_[r] *= factor;
      PMLA_UNROLL
      for (int t = 0; t < keyTilesEach; t++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) {
          if (M::rowIndex(i) != r) continue;
          found[t][i] = exp2f(found[t][i] - reference);
          total_[r] += found[t][i];
        }
      }
      largest_[r] = largest;
      if (leads() && keyGroup_ == 0) rest_.factor[rowInBlock(r)] = factor;
    }
    if (keyGroup_ < keyGroups) {
      PMLA_UNROLL
      for (int t = 0; t < keyTilesEach; t++) storeWeights(found[t], (keyGroup_ + t * keyGroups) * 16);
    }
    syncBlock();

    addValues(tile);
    if (Tiles::stages == 1) syncBlock();
  }

  PMLA_DEVICE void storeWeights(const float (&found)[M::values], int key) {
    PMLA_UNROLL
    for (int i = 0; i < M::values; i += M::run) {
      typename T::Storage codes[M::run];
      PMLA_UNROLL
      for (int j = 0; j < M::run; j++) codes[j] = T::store(found[i + j]);
      // Neighbours lie in one chunk.
      constexpr int part = M::run < chunkOf<T> ? M::run : chunkOf<T>;
      PMLA_UNROLL
      for (int j = 0; j < M::run; j += part) {
        memcpy(weights().at(rowInBlock(M::rowIndex(i)), key + M::columnOf(lane_, i) + j), codes + j, part * sizeof codes[0]);
      }
    }
  }

  PMLA_DEVICE void addValues(int tile) {
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) {
        const float factor = rest_.factor[t * 16 + M::rowOf(lane_, r)];
        PMLA_UNROLL
        for (int v = 0; v < valueTilesEach; v++) {
          PMLA_UNROLL
          for (int i = 0; i < M::values; i++) {
            if (M::rowIndex(i) == r) sums_[t][v][i] *= factor;
          }
        }
      }
    }
    const WideTile from = keyTile(tile);
    // All four steps of 64 rows at once want more registers than there are.
    [[maybe_unused]] constexpr int steps = rowTiles > 2 ? 1 : 4;
#pragma unroll steps
    for (int k = 0; k < Tiles::keys; k += 16) {
      typename M::Left left[rowTiles];
      PMLA_UNROLL
      for (int t = 0; t < rowTiles; t++) left[t] = M::loadLeft(weights(), lane_, t * 16, k);
      PMLA_UNROLL
      for (int v = 0; v < valueTilesEach; v++) {
        const int column = columnTile(v);
        if (valueTiles % teams != 0 && column >= valueTiles) break;
        const auto right = M::loadColumns(from, lane_, k, column * 16);
        PMLA_UNROLL
        for (int t = 0; t < rowTiles; t++) M::multiply(sums_[t][v], left[t], right);
      }
    }
  }

  PMLA_DEVICE int columnTile(int v) const { return team_ * valueTilesEach + v; }

  /** What the rows' pieces came to: to the outputs, or as a partial result. */
  PMLA_DEVICE void finish() {
    syncBlock(); // the last tile's factors are read
    PMLA_UNROLL
    for (int r = 0; r < M::rows; r++) {
      const float total = overRow(total_[r], true);
      if (!leads()) continue;
      rest_.partial[keyGroup_][rowInBlock(r)] = total;
      if (keyGroup_ == 0) rest_.factor[rowInBlock(r)] = largest_[r];
    }
    syncBlock();
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) finishRow(t, r);
    }
  }

  PMLA_DEVICE void finishRow(int t, int r) {
    const Piece &piece = rest_.piece;
    const int inBlock = t * 16 + M::rowOf(lane_, r);
    const int64_t row = firstRow_ + inBlock;
    if (row >= p_.rows) return;
    float total = 0;
    PMLA_UNROLL
    for (int g = 0; g < keyGroups; g++) total += rest_.partial[g][inBlock];
    const float largest = rest_.factor[inBlock];
    const bool seen = total > 0;
    const float lse = seen ? (largest + log2f(total)) * static_cast<float>(ln2) : minusInfinity;
    const bool tells = team_ == 0 && lane_ / M::rowStep % M::rowLanes == 0;
    const int64_t inRequest = head_ * p_.rows + row;
    const int64_t allRows = p_.queryTokens * p_.heads;
    float by = seen ? 1 / total : 0;
    if (piece.place >= 0) {
      const int64_t at = piece.place * allRows + inRequest;
      storeRow(p_.partialOut, PMLA_F32, at * p_.valueDim, t, r, by);
      if (tells) p_.partialLse[at] = lse;
      return;
    }
    const int64_t head = headOf(row);
    const int64_t token = tokenOf(row);
    by *= p_.outScale;
    if (seen && p_.sink != nullptr) by /= 1 + expf(p_.sink[head] - lse);
    storeRow(p_.out, p_.outType, ((piece.request * p_.queryTokens + token) * p_.heads + head) * p_.valueDim, t, r, by);
    if (!tells) return;
    const int64_t at = (piece.request * p_.heads + head) * p_.queryTokens + token;
    if (p_.lse != nullptr) p_.lse[at] = seen ? lse : INFINITY;
    if (p_.maxLogits != nullptr) p_.maxLogits[at] = largest * static_cast<float>(ln2);
  }

  PMLA_DEVICE void storeRow(void *to, uint32_t type, int64_t at, int t, int r, float by) {
    PMLA_UNROLL
    for (int v = 0; v < valueTilesEach; v++) {
      PMLA_UNROLL
      for (int i = 0; i < M::values; i += M::run) {
        if (M::rowIndex(i) != r) continue;
        const int column = columnTile(v) * 16 + M::columnOf(lane_, i);
        if (column >= p_.valueDim) continue;
        if (type == PMLA_F32) {
          float numbers[M::run];
          PMLA_UNROLL
          for (int j = 0; j < M::run; j++) numbers[j] = sums_[t][v][i + j] * by;
          storeRun(static_cast<float *>(to) + at + column, numbers);
        } else {
          uint16_t codes[M::run];
          PMLA_UNROLL
          for (int j = 0; j < M::run; j++) {
            const float number = sums_[t][v][i + j] * by;
            codes[j] = type == PMLA_BF16 ? Bf16::store(number) : f16OfFloat(number);
          }
          storeRun(static_cast<uint16_t *>(to) + at + column, codes);
        }
      }
    }
  }

  /** Neighbours, to an address that is aligned to its elements. */
  template <class Code, int Count> static PMLA_DEVICE void storeRun(Code *to, const Code (&codes)[Count]) {
    if constexpr (Count == 2) {
      struct alignas(2 * sizeof(Code)) Pair {
        Code first, second;
      };
      if (reinterpret_cast<uintptr_t>(to) % sizeof(Pair) == 0) {
        *reinterpret_cast<Pair *>(to) = Pair{codes[0], codes[1]};
        return;
      }
    }
    PMLA_UNROLL
    for (int j = 0; j < Count; j++) to[j] = codes[j];
  }

  const AttendParams &p_;
  unsigned char *const memory_;
  typename Shared::Rest &rest_;
  const int thread_;
  const int lane_;
  const int team_;
  const int rowTile_;  ///< of logits
  const int keyGroup_; ///< those from `keyGroups` on have no logits to compute
  int64_t firstRow_;
  int64_t head_; ///< KV head; with indices, query token
  int tiles_;
  int end_[M::rows]; ///< of the keys that a row sees, from the piece's first on
  float largest_[M::rows];
  float total_[M::rows]; ///< of this lane's columns
  float sums_[rowTiles][valueTilesEach][M::values];
};

/** Does all pieces of a unit: the part of each request that the partition's row names, in splits. */
template <class Kernel> PMLA_DEVICE void attendUnit(const AttendParams &p, int64_t unit) {
  Kernel kernel(p, unit);
  const int64_t partition = unit / p.unitsOfPartition();
  if (p.schedule == nullptr) {
    const int64_t length = p.length(partition);
    kernel.attend(Piece{partition, 0, length, length, -1});
    return;
  }
  const ScheduleRow row = p.schedule[partition];
  if (row.beginRequest < 0 || row.endRequest >= p.batch) return;
  for (int64_t request = row.beginRequest; request <= row.endRequest; request++) {
    const int64_t length = p.length(request);
    const int64_t pages = (length + p.pageTokens - 1) / p.pageTokens;
    const int64_t lastPage = request == row.endRequest ? min(max(int64_t{row.endPage}, int64_t{0}), pages) : pages;
    int64_t page = request == row.beginRequest ? min(max(int64_t{row.beginPage}, int64_t{0}), lastPage) : 0;
    int64_t split = request == row.beginRequest ? row.beginSplit : 0;
    const int64_t splits = int64_t{p.numSplits[request + 1]} - p.numSplits[request];
    const int64_t place = splits > 1 ? p.place(request, splits) : -1;
    if (splits > 1 && place < 0) continue;
    do {
      const int64_t begin = page;
      page = p.splitPages > 0 ? min(page + p.splitPages, lastPage) : lastPage;
      if (split < 0 || split >= splits) break;
      kernel.attend(Piece{request, begin * p.pageTokens, min(page * p.pageTokens, length), length,
                          splits > 1 ? place + split : -1});
      split++;
    } while (page < lastPage);
  }
}

template <class T, class Tiles, bool Direct> PMLA_KERNEL(attendThreads) attendKernel(PMLA_PARAM AttendParams params) {
  if constexpr (sizeof(typename T::Storage) == 4 || compilesTiles({Tiles::rows, Tiles::keys})) {
    const int64_t units = params.units();
    for (int64_t unit = blockIndex(); unit < units; unit += blockCount()) {
      attendUnit<Attend<T, Tiles, Direct>>(params, unit);
    }
  } else {
    notForThisDevice();
  }
}

} // namespace polymla
