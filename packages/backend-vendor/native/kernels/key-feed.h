#pragma once
#include "attend-config.h"
#include "key-loader.h"

namespace polymla {

/**
 * Brings tiles of keys of a piece into shared memory, zeros where there is no key: what is not seen must not be NaN either.
 *
 * @tparam Direct whether keys are 16-byte copies of the cache, and need no conversion
 */
template <class T, class Tiles, bool Direct> class KeyFeed {
  using Shared = AttendShared<T, Tiles>;
  using Hook = AttendMma<T, Tiles>;
  using KeyTile = typename Hook::Keys;
  static constexpr int teams = attendThreads / Hook::M::lanes;
  /** Threads that compute no logits copy, where they are many; conversions take all. */
  static constexpr bool half = Direct && 2 * Hook::logitTeams <= teams;
  static constexpr int firstCopier = half ? attendThreads / 2 : 0;
  /** Neighbours that share a row: 128 bytes at a time, and as many banks. */
  static constexpr int sharers = 8;
  static constexpr int rowsAtOnce = (attendThreads - firstCopier) / sharers;
  static_assert(KeyTile::chunks % sharers == 0);

public:
  PMLA_DEVICE KeyFeed(const AttendParams &params, unsigned char *memory)
      : p_(params), memory_(memory), rest_(*reinterpret_cast<typename Shared::Rest *>(memory + Shared::rest)) {}

  PMLA_DEVICE KeyTile tile(int number) const {
    return {memory_ + Shared::keys + number % Tiles::stages * Shared::keyTile};
  }
  PMLA_DEVICE bool hasGaps(int number) const { return rest_.tileWithGaps[number % Shared::lists] == number; }
  PMLA_DEVICE bool isMissing(int number, int key) const { return rest_.missing[number % Shared::lists][key]; }

  /** Before the first tile of a piece, and a barrier. */
  PMLA_DEVICE void begin() {
    if (threadIndex() < Shared::lists) rest_.tileWithGaps[threadIndex()] = -1;
  }

  /** Finds where the keys of a tile lie. By a thread per key. */
  PMLA_DEVICE void locate(int number) {
    const int index = again(threadIndex()) - (attendThreads - Tiles::keys);
    if (index < 0) return;
    const Piece &piece = rest_.piece;
    const int64_t position = piece.begin + int64_t{number} * Tiles::keys + index;
    Place place{nullptr, 0};
    if (position < piece.end) place = p_.indexed ? indexed(piece.request, position) : paged(piece.request, position);
    rest_.key[number % 2][index] = place.key;
    rest_.within[number % 2][index] = place.within;
    rest_.missing[number % Shared::lists][index] = place.key == nullptr;
    if (place.key == nullptr) rest_.tileWithGaps[number % Shared::lists] = number;
  }

  /** Starts to bring a tile that is located, and ends a group of copies. */
  PMLA_DEVICE void copy(int number) {
    const int place = again(threadIndex()) - firstCopier;
    if (place >= 0) {
      const KeyTile to = tile(number);
      const int chunks = p_.headDim / chunkOf<T>;
      const int share = place % sharers;
      PMLA_UNROLL
      for (int first = 0; first < Tiles::keys; first += rowsAtOnce) {
        const int key = first + place / sharers;
        if (Tiles::keys % rowsAtOnce != 0 && key >= Tiles::keys) break;
        if (chunks == KeyTile::chunks) copyRow<true>(to, number, key, share, chunks);
        else copyRow<false>(to, number, key, share, chunks);
      }
    }
    commitCopies();
  }

private:
  struct Place {
    const unsigned char *key;
    int32_t within;
  };

  PMLA_DEVICE Place placeOf(const KeySet &set, int64_t page, uint32_t within, bool isExtra) const {
    const int64_t head = p_.indexed ? 0 : rest_.rows.head * set.layout.headStride;
    const auto token = static_cast<int32_t>(within);
    return {set.memory + page * set.layout.pageStride + within * set.layout.tokenStride + head, isExtra ? ~token : token};
  }

  /** Positions, as lengths, are below 2^31, and so is what they are divided by. */
  PMLA_DEVICE static uint32_t pageSizeOf(const KeySet &set) {
    return static_cast<uint32_t>(min(set.layout.pageSize, int64_t{INT32_MAX}));
  }

  PMLA_DEVICE Place paged(int64_t request, int64_t position) const {
    const KeySet &set = p_.keys;
    const uint32_t size = pageSizeOf(set);
    const uint32_t page = static_cast<uint32_t>(position) / size;
    const int64_t id = set.entries[request * set.width + page];
    if (!set.layout.hasPage(id)) return {nullptr, 0};
    return placeOf(set, id, static_cast<uint32_t>(position) - page * size, false);
  }

  PMLA_DEVICE Place indexed(int64_t request, int64_t position) const {
    const int64_t row = request * p_.queryTokens + rest_.rows.head;
    const int64_t first = p_.keys.length(request);
    const int64_t after = p_.wholePages(first < 1 ? 1 : first);
    const bool isExtra = position >= first;
    if (isExtra && (position < after || position - after >= p_.extra.length(request))) return {nullptr, 0};
    const KeySet &set = isExtra ? p_.extra : p_.keys;
    const int32_t slot = set.entries[row * set.width + (isExtra ? position - after : position)];
    if (slot < 0) return {nullptr, 0};
    const uint32_t size = pageSizeOf(set);
    const uint32_t page = static_cast<uint32_t>(slot) / size;
    if (page >= set.layout.pages) return {nullptr, 0};
    return placeOf(set, page, static_cast<uint32_t>(slot) - page * size, isExtra);
  }

  /** @tparam Whole whether rows are as wide as the tile, which is the usual width */
  template <bool Whole> PMLA_DEVICE void copyRow(const KeyTile &to, int number, int key, int share, int chunks) {
    const unsigned char *const from = rest_.key[number % 2][key];
    unsigned char *const target = to.chunk(key, share);
    if constexpr (Direct) {
      const bool present = from != nullptr;
      const unsigned char *const source = (present ? from : p_.keys.memory) + share * 16; // not read where nothing is present
      if constexpr (Whole) {
        PMLA_UNROLL
        for (int n = 0; n < KeyTile::chunks / sharers; n++) copy16(target + n * KeyTile::eightChunks, source + n * 128, present);
      } else {
        for (int n = 0; share + n * sharers < chunks; n++) copy16(target + n * KeyTile::eightChunks, source + n * 128, present);
      }
    } else {
      const int within = rest_.within[number % 2][key];
      const KeySet &set = within < 0 ? p_.extra : p_.keys;
      for (int n = 0; share + n * sharers < chunks; n++) {
        float numbers[chunkOf<T>] = {};
        if (from != nullptr) loadKey(numbers, set, from, within < 0 ? ~within : within, (share + n * sharers) * chunkOf<T>);
        storeTileChunk<T>(target + n * KeyTile::eightChunks, numbers);
      }
    }
  }

  const AttendParams &p_;
  unsigned char *const memory_;
  typename Shared::Rest &rest_;
};

} // namespace polymla
