#pragma once
#include "attend-results.h"
#include "key-feed.h"

namespace polymla {

/**
 * Weights are relative to references that are raised only where a thread's weights in a row add up to more than this: they
 * stay far from overflow in any type, and most tiles need neither maxima nor corrections.
 */
constexpr float mostWeight = 256;

/**
 * A block's work on pieces of requests: softmax over tiles of keys as they come, after FlashAttention. A tile of keys
 * lies in shared memory once, for logits and as values. Some teams compute logits, in the largest tiles that they can
 * hold, while the others bring keys; all of them share the results by columns. Weights, and the factors that results are
 * corrected with, pass through shared memory.
 */
template <class T, class Tiles, bool Direct> class Attend {
  using Hook = AttendMma<T, Tiles>;
  using M = typename Hook::M;
  using Shared = AttendShared<T, Tiles>;
  using QueryTile = typename Hook::Queries;
  using KeyTile = typename Hook::Keys;
  using WeightTile = typename Hook::Weights;
  static constexpr int teams = attendThreads / M::lanes;
  static constexpr int rowTiles = Tiles::rowTiles;
  static constexpr int rowsEach = Hook::rowTilesEach;
  static constexpr int keysEach = Hook::keyTilesEach;
  static constexpr int keyGroups = Hook::keyGroups;
  static constexpr int logitTeams = Hook::logitTeams;
  static_assert(logitTeams <= teams);
  /** Threads among which the logits' teams are: whole waves of any width. */
  static constexpr int logitThreads = (logitTeams * M::lanes + 127) / 128 * 128;
  /**
   * Where a team has few products: sums that do not wait for one another, and operands that are read ahead. With many, a
   * compiler finds room for what it can read ahead, and none for more.
   */
  static constexpr int chains = rowTiles > 2 ? 1 : 4 / (rowsEach * keysEach);
  static constexpr int stepBytes = 16 * static_cast<int>(sizeof(typename T::Storage));
  static constexpr int stepsAtOnce = 128 / stepBytes;
  static constexpr int operands = chains > 1 ? stepsAtOnce : 1;
  static constexpr int valueTiles = Tiles::values / 16;
  static constexpr int valueTilesEach = (valueTiles + teams - 1) / teams;
  using Results = AttendResults<M, Tiles, valueTilesEach>;

public:
  static constexpr int rows = Tiles::rows;

  explicit PMLA_DEVICE Attend(const AttendParams &params)
      : p_(params), memory_(sharedMemory()), rest_(*reinterpret_cast<typename Shared::Rest *>(memory_ + Shared::rest)),
        feed_(params, memory_) {}

  /** By the whole block. */
  PMLA_DEVICE void attend(const Piece &piece, const RowBlock &rows) {
    constexpr int ahead = Tiles::stages - 1;
    syncBlock(); // whatever was before it is done with shared memory
    if (threadIndex() == 0) {
      rest_.piece = piece;
      rest_.rows = rows;
      rest_.raises[0] = false;
    }
    feed_.begin();
    syncBlock();
    begin();
    if (tiles_ > 0) loadQueries();
    feed_.locate(0);
    PMLA_UNROLL
    for (int tile = 0; tile < ahead; tile++) {
      syncBlock();
      bring(tile);
    }
    if constexpr (ahead == 0) syncBlock();
    for (int tile = 0; tile < tiles_; tile++) {
      if constexpr (ahead > 0) {
        waitCopies<Tiles::stages - 2>();
        syncBlock();
        bring(tile + ahead);
      } else {
        bring(tile);
        waitCopies<0>();
        syncBlock();
      }
      addTile(tile);
      if constexpr (ahead == 0) syncBlock();
    }
    finish();
  }

private:
  /** What a thread is. Asked for where it is needed: all that follows from it would not find room in registers. */
  struct Where {
    int thread;
    int lane, team;
    int rowGroup, keyGroup; ///< of logits

    PMLA_DEVICE int rowInBlock(int t, int r) const { return (rowGroup * rowsEach + t) * 16 + M::rowOf(lane, r); }
    PMLA_DEVICE int keyInTile(int t) const { return (keyGroup + t * keyGroups) * 16; }
    /** Whether this thread goes where logits are computed, and whether it computes any. */
    PMLA_DEVICE bool isAmongLogits() const { return logitThreads >= attendThreads || thread < logitThreads; }
    PMLA_DEVICE bool hasLogits() const { return team < logitTeams; }
    /** Whether this lane speaks for its rows. */
    PMLA_DEVICE bool leads() const { return hasLogits() && lane / M::rowStep % M::rowLanes == 0; }
  };
  PMLA_DEVICE static Where here() {
    const int thread = again(threadIndex());
    const int team = thread / M::lanes;
    return {thread, thread % M::lanes, team, team / keyGroups, team % keyGroups};
  }

  PMLA_DEVICE QueryTile queries() const { return {memory_ + Shared::queries}; }
  PMLA_DEVICE WeightTile weights() const { return {memory_ + Shared::weights}; }

  /** Starts to bring a tile, and finds where the next one is. */
  PMLA_DEVICE void bring(int tile) {
    if (tile < tiles_) feed_.copy(tile);
    else commitCopies();
    if (tile + 1 < tiles_) feed_.locate(tile + 1);
  }

  PMLA_DEVICE void loadQueries() {
    constexpr int sharers = 8;
    const int thread = again(threadIndex());
    const RowBlock block = rest_.rows;
    const int chunks = p_.headDim / chunkOf<T>;
    for (int row = thread / sharers; row < rows; row += attendThreads / sharers) {
      const int64_t ofHead = block.first + row;
      const bool present = ofHead < p_.rows;
      const int64_t at = present ? rest_.piece.request * p_.qStrides[0] + block.tokenOf(p_, ofHead) * p_.qStrides[1] +
                                       block.headOf(p_, ofHead) * p_.qStrides[2]
                                 : 0;
      for (int chunk = thread % sharers; chunk < chunks; chunk += sharers) {
        unsigned char *const to = queries().chunk(row, chunk);
        if (p_.copiesQueries) {
          copy16(to, static_cast<const typename T::Storage *>(p_.q) + at + chunk * chunkOf<T>, present);
        } else {
          float numbers[chunkOf<T>] = {};
          PMLA_UNROLL
          for (int j = 0; j < chunkOf<T>; j++) {
            if (present) numbers[j] = loadElement(p_.q, p_.qType, at + chunk * chunkOf<T> + j);
          }
          storeTileChunk<T>(to, numbers);
        }
      }
    }
  }

  PMLA_DEVICE void begin() {
    const Where at = here();
    const Piece piece = rest_.piece;
    tiles_ = static_cast<int>((piece.end - piece.begin + Tiles::keys - 1) / Tiles::keys);
    least_ = INT32_MAX;
    PMLA_UNROLL
    for (int t = 0; t < rowsEach; t++) {
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) {
        const int64_t token = tokenOf(at.rowInBlock(t, r));
        const bool causal = !p_.indexed && p_.mask == PMLA_MASK_CAUSAL;
        const int64_t end = causal ? piece.length - (p_.queryTokens - 1 - token) : piece.length;
        end_[t][r] = static_cast<int>(min(max(end - piece.begin, int64_t{0}), int64_t{INT32_MAX}));
        least_ = min(least_, end_[t][r]);
        reference_[t][r] = minusInfinity;
        total_[t][r] = 0;
        if (at.leads() && at.keyGroup == 0) rest_.largest[at.rowInBlock(t, r)] = minusInfinity;
      }
    }
    // Where a tree decides, nothing is seen without a look at it.
    if (p_.mask == PMLA_MASK_TREE && !p_.indexed) least_ = 0;
    results_.clear();
  }

  /** Query token of a row; past the last one, of that. */
  PMLA_DEVICE int64_t tokenOf(int row) const {
    const RowBlock &block = rest_.rows;
    return block.tokenOf(p_, min(block.first + row, p_.rows - 1));
  }

  /** @param key from the piece's first on */
  PMLA_DEVICE bool sees(const Where &at, int t, int r, int key) const {
    if (p_.mask != PMLA_MASK_TREE || p_.indexed) return key < end_[t][r];
    const Piece &piece = rest_.piece;
    const int64_t bit = piece.begin + key - (piece.length - p_.queryTokens);
    if (bit < 0 || bit >= p_.queryTokens) return bit < 0;
    const int64_t token = tokenOf(at.rowInBlock(t, r));
    const int64_t words = (p_.queryTokens + 31) / 32;
    const int32_t word = p_.tree[(piece.request * p_.queryTokens + token) * words + bit / 32];
    return (static_cast<uint32_t>(word) >> (bit % 32) & 1) != 0;
  }

  using Logits = float[rowsEach][keysEach][M::values];

  /** Queries and keys as a team multiplies them, from a column on. */
  struct Operands {
    QueryTile queries;
    KeyTile keys;

    PMLA_DEVICE Operands from(int byte) const { return {{queries.memory + byte}, {keys.memory + byte}}; }
  };

  PMLA_DEVICE void multiply(const Where &at, const KeyTile &keys, Logits &found) {
    float sums[chains][rowsEach][keysEach][M::values] = {};
    typename M::Left left[operands][rowsEach];
    decltype(M::loadRows(keys, 0, 0, 0)) right[operands][keysEach];
    const auto load = [&](int to, const Operands &from, int k) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) left[to][t] = M::loadLeft(from.queries, at.lane, t * 16, k);
      PMLA_UNROLL
      for (int u = 0; u < keysEach; u++) right[to][u] = M::loadRows(from.keys, at.lane, u * keyGroups * 16, k);
    };
    const auto add = [&](int chain, int of) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) {
        PMLA_UNROLL
        for (int u = 0; u < keysEach; u++) M::multiply(sums[chain][t][u], left[of][t], right[of][u]);
      }
    };
    // 128 bytes of rows at a time: within them, where chunks lie does not depend on how far the tile is multiplied. Without a
    // branch in between, so that operands of one step are on their way while the ones before it are multiplied.
    constexpr int ahead = operands - 1;
    const int whole = p_.headDim / 16 / stepsAtOnce;
    // Sixteen rows further, chunks lie the same.
    const Operands all{{queries().memory + at.rowGroup * rowsEach * 16 * KeyTile::rowBytes},
                       {keys.memory + at.keyGroup * 16 * KeyTile::rowBytes}};
    Operands current = all;
    if (whole > 0) {
      PMLA_UNROLL
      for (int step = 0; step < ahead; step++) load(step % operands, current, step * 16);
    }
    for (int n = 0; n < whole; n++) {
      const Operands next = current.from(n + 1 < whole ? 128 : 0);
      PMLA_UNROLL
      for (int i = 0; i < stepsAtOnce; i++) {
        const int to = i + ahead;
        load(to % operands, to < stepsAtOnce ? current : next, to % stepsAtOnce * 16);
        add(i % chains, i % operands);
      }
      current = next;
    }
    current = all.from(whole * 128);
    for (int k = 0; k < p_.headDim - whole * stepsAtOnce * 16; k += 16) {
      load(0, current, k);
      add(0, 0);
    }
    PMLA_UNROLL
    for (int t = 0; t < rowsEach; t++) {
      PMLA_UNROLL
      for (int u = 0; u < keysEach; u++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) {
          found[t][u][i] = sums[0][t][u][i];
          PMLA_UNROLL
          for (int c = 1; c < chains; c++) found[t][u][i] += sums[c][t][u][i];
        }
      }
    }
  }

  /** The logits of this team, in base 2; −Infinity of keys that a row does not see. */
  PMLA_DEVICE void computeLogits(const Where &at, int tile, Logits &found) {
    if constexpr (Hook::wide) {
      M::template multiplyRows<rowsEach, keysEach>(found, queries(), at.rowGroup * rowsEach * 16, feed_.tile(tile), p_.headDim);
    } else {
      multiply(at, feed_.tile(tile), found);
    }
    const int first = tile * Tiles::keys;
    const bool whole = least_ >= first + Tiles::keys && !feed_.hasGaps(tile);
    PMLA_UNROLL
    for (int u = 0; u < keysEach; u++) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) found[t][u][i] *= p_.scaleLog2;
      }
    }
    if (whole) return;
    PMLA_UNROLL
    for (int u = 0; u < keysEach; u++) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) {
        PMLA_UNROLL
        for (int i = 0; i < M::values; i++) {
          const int key = at.keyInTile(u) + M::columnOf(at.lane, i);
          if (feed_.isMissing(tile, key) || !sees(at, t, M::rowIndex(i), first + key)) found[t][u][i] = minusInfinity;
        }
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

  /** What is called with a row's values, each as a reference. */
  template <class Call> static PMLA_DEVICE void eachOf(Logits &found, int t, int r, Call &&call) {
    PMLA_UNROLL
    for (int u = 0; u < keysEach; u++) {
      PMLA_UNROLL
      for (int i = 0; i < M::values; i++) {
        if (M::rowIndex(i) == r) call(found[t][u][i]);
      }
    }
  }

  using Weights = float[rowsEach][M::rows];

  PMLA_DEVICE void addTile(int tile) {
    Logits found = {};
    Weights sums = {};
    const Where at = here();
    if (at.hasLogits()) {
      computeLogits(at, tile, found);
      if (weigh(at, found, sums)) rest_.raises[tile % 2] = true;
    }
    syncBlock();
    if (threadIndex() == 0) rest_.raises[(tile + 1) % 2] = false;
    if (rest_.raises[tile % 2]) {
      raise(at, found, sums);
      correct();
    }
    PMLA_UNROLL
    for (int t = 0; t < rowsEach; t++) {
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) total_[t][r] += sums[t][r];
    }
    if constexpr (Hook::wide) {
      static_assert(valueTiles % teams == 0);
      M::template multiplyColumns<rowTiles, valueTilesEach>(results_.sums, weights(), feed_.tile(tile), here().team * valueTilesEach * 16);
    } else {
      addValues(feed_.tile(tile));
    }
  }

  /** Makes what was summed relative to new references. */
  PMLA_DEVICE void correct() {
    const int lane = here().lane;
    float factors[rowTiles][M::rows];
    bool moved = false;
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) {
        factors[t][r] = rest_.factor[t * 16 + M::rowOf(lane, r)];
        moved = moved || factors[t][r] != 1;
      }
    }
    if (moved) results_.multiply(factors);
  }

  /** Makes weights of logits, and their sums. @returns whether they need new references */
  PMLA_DEVICE bool weigh(const Where &at, Logits &found, Weights &sums) {
    bool high = p_.maxLogits != nullptr;
    PMLA_UNROLL
    for (int t = 0; t < rowsEach; t++) {
      float weights[keysEach][M::values];
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) {
        // Nothing seen yet: any finite number will do.
        const bool first = reference_[t][r] == minusInfinity;
        const float reference = first ? 0 : reference_[t][r];
        float sum = 0;
        PMLA_UNROLL
        for (int u = 0; u < keysEach; u++) {
          PMLA_UNROLL
          for (int i = 0; i < M::values; i++) {
            if (M::rowIndex(i) == r) sum += weights[u][i] = powerOf2(found[t][u][i] - reference);
          }
        }
        high = high || sum > (first ? -1 : mostWeight);
        sums[t][r] = sum;
      }
      PMLA_UNROLL
      for (int u = 0; u < keysEach; u++) storeWeights(at, weights[u], t, at.keyInTile(u));
    }
    return high;
  }

  /** Raises references to the greatest logits so far, and weighs again. Leaves the factors of what was summed. */
  PMLA_DEVICE void raise(const Where &at, Logits &found, Weights &sums) {
    if (at.isAmongLogits()) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) {
        PMLA_UNROLL
        for (int r = 0; r < M::rows; r++) {
          float largest = minusInfinity;
          eachOf(found, t, r, [&](float value) { largest = fmaxf(largest, value); });
          largest = overRow(largest, false);
          if (at.leads()) rest_.partial[at.keyGroup][at.rowInBlock(t, r)] = largest;
        }
      }
    }
    syncBlock();
    if (at.hasLogits()) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) {
        PMLA_UNROLL
        for (int r = 0; r < M::rows; r++) {
          const int row = at.rowInBlock(t, r);
          float largest = minusInfinity;
          PMLA_UNROLL
          for (int g = 0; g < keyGroups; g++) largest = fmaxf(largest, rest_.partial[g][row]);
          float factor = 1;
          if (largest > reference_[t][r]) {
            factor = powerOf2(reference_[t][r] - largest);
            reference_[t][r] = largest;
            total_[t][r] *= factor;
          }
          if (!at.leads() || at.keyGroup != 0) continue;
          rest_.factor[row] = factor;
          if (p_.maxLogits != nullptr) rest_.largest[row] = fmaxf(rest_.largest[row], largest);
        }
      }
      weigh(at, found, sums);
    }
    syncBlock();
  }

  PMLA_DEVICE void storeWeights(const Where &at, const float (&found)[M::values], int t, int key) {
    PMLA_UNROLL
    for (int i = 0; i < M::values; i += M::run) {
      // Neighbours lie in one chunk.
      constexpr int part = M::run < chunkOf<T> ? M::run : chunkOf<T>;
      PMLA_UNROLL
      for (int j = 0; j < M::run; j += part) {
        typename T::Storage codes[part];
        storeAll<T>(codes, found + i + j);
        memcpy(weights().at(at.rowInBlock(t, M::rowIndex(i)), key + M::columnOf(at.lane, i) + j), codes, sizeof codes);
      }
    }
  }

  PMLA_DEVICE void addValues(const KeyTile &keys) {
    const Where at = here();
    // Read ahead; all that a step needs where rows are few.
    constexpr int each = valueTilesEach;
    constexpr int count = Tiles::keyTiles * each;
    constexpr int operands = rowTiles > 2 ? 2 : each;
    decltype(M::loadColumns(keys, 0, 0, 0)) right[operands];
    const auto load = [&](int n) {
      if constexpr (each * stepBytes % 128 == 0 && valueTiles % teams == 0) {
        const KeyTile own{keys.memory + at.team * each * stepBytes};
        right[n % operands] = M::loadColumns(own, at.lane, n / each * 16, n % each * 16);
      } else {
        const int column = min(at.team * each + n % each, valueTiles - 1);
        right[n % operands] = M::loadColumns(keys, at.lane, n / each * 16, column * 16);
      }
    };
    PMLA_UNROLL
    for (int n = 0; n < operands - 1; n++) load(n);
    PMLA_UNROLL
    for (int k = 0; k < Tiles::keyTiles; k++) {
      typename M::Left left[rowTiles];
      PMLA_UNROLL
      for (int t = 0; t < rowTiles; t++) left[t] = M::loadLeft(weights(), at.lane, t * 16, k * 16);
      PMLA_UNROLL
      for (int v = 0; v < each; v++) {
        const int n = k * each + v;
        if (n + operands - 1 < count) load(n + operands - 1);
        PMLA_UNROLL
        for (int t = 0; t < rowTiles; t++) M::multiply(results_.sums[t][v], left[t], right[n % operands]);
      }
    }
  }

  /** What the rows' pieces came to: to the outputs, or as a partial result. */
  PMLA_DEVICE void finish() {
    syncBlock(); // the last tile's factors are read
    const Where at = here();
    if (at.isAmongLogits()) {
      PMLA_UNROLL
      for (int t = 0; t < rowsEach; t++) {
        PMLA_UNROLL
        for (int r = 0; r < M::rows; r++) {
          const float total = overRow(total_[t][r], true);
          if (!at.leads()) continue;
          rest_.partial[at.keyGroup][at.rowInBlock(t, r)] = total;
          if (at.keyGroup == 0) rest_.factor[at.rowInBlock(t, r)] = reference_[t][r];
        }
      }
    }
    syncBlock();
    PMLA_UNROLL
    for (int t = 0; t < rowTiles; t++) {
      PMLA_UNROLL
      for (int r = 0; r < M::rows; r++) {
        const int row = t * 16 + M::rowOf(at.lane, r);
        float total = 0;
        PMLA_UNROLL
        for (int g = 0; g < keyGroups; g++) total += rest_.partial[g][row];
        results_.store(p_, rest_.rows, rest_.piece, at.thread, t, r, total, rest_.factor[row], rest_.largest[row]);
      }
    }
  }

  const AttendParams &p_;
  unsigned char *const memory_;
  typename Shared::Rest &rest_;
  KeyFeed<T, Tiles, Direct> feed_;
  int tiles_;
  int end_[rowsEach][M::rows]; ///< of the keys that a row sees, from the piece's first on
  int least_;                  ///< of them
  float reference_[rowsEach][M::rows]; ///< that weights are relative to: logits exceed it by less than mostGrowth
  float total_[rowsEach][M::rows]; ///< of this lane's columns
  Results results_;
};

} // namespace polymla
