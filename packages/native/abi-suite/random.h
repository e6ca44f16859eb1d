#pragma once

#include <cstdint>

namespace polymla::suite {

/** splitmix64: equal seeds give equal numbers everywhere. */
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /** least … most */
  int64_t in(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(next() % static_cast<uint64_t>(most - least + 1));
  }
  bool chance(int64_t outOf) { return in(1, outOf) == 1; }
  /** −1 … 1 */
  float number() { return static_cast<float>(static_cast<int64_t>(next() >> 40)) / 8388608.0f - 1.0f; }

private:
  uint64_t state_;
};

} // namespace polymla::suite
