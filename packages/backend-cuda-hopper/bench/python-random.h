#pragma once
#include <array>
#include <cmath>
#include <cstdint>

namespace polymla::bench {

/**
 * Python's `random` after `random.seed(0)` (CPython 3.12, Modules/_randommodule.c and Lib/random.py): the
 * anchors drew their varying lengths from it.
 */
class PythonRandom {
 public:
  PythonRandom() {
    seedWith(19650218);
    uint32_t i = 1;
    for (uint32_t k = size; k > 0; k--) {
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u));
      advance(i);
    }
    for (uint32_t k = size - 1; k > 0; k--) {
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - i;
      advance(i);
    }
    state_[0] = 0x80000000u;
  }

  double normal(double mean, double deviation) {
    const double magic = 4 * std::exp(-0.5) / std::sqrt(2.0);
    for (;;) {
      const double u1 = uniform();
      const double u2 = 1 - uniform();
      const double z = magic * (u1 - 0.5) / u2;
      if (z * z / 4 <= -std::log(u2)) return mean + z * deviation;
    }
  }

 private:
  static constexpr uint32_t size = 624;

  void seedWith(uint32_t seed) {
    state_[0] = seed;
    for (uint32_t i = 1; i < size; i++) state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }

  void advance(uint32_t& i) {
    if (++i < size) return;
    state_[0] = state_[size - 1];
    i = 1;
  }

  uint32_t next() {
    if (index_ == size) {
      for (uint32_t i = 0; i < size; i++) {
        const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % size] & 0x7fffffffu);
        state_[i] = state_[(i + 397) % size] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
      }
      index_ = 0;
    }
    uint32_t y = state_[index_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }

  double uniform() {
    const uint32_t high = next() >> 5;
    const uint32_t low = next() >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }

  std::array<uint32_t, size> state_;
  uint32_t index_ = size;
};

}  // namespace polymla::bench
