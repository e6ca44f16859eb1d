#pragma once

namespace polymla {

/** Query rows, keys, tiles of keys in shared memory, and bytes of it: how a kernel is compiled. */
struct TileSizes {
  int rows, keys, stages, bytes;
  constexpr bool operator==(const TileSizes &) const = default;
};

} // namespace polymla
