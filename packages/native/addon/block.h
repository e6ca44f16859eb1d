#pragma once

#include <cstdint>

namespace polymla {

/** Numbers in the argument block that JavaScript shares with the addon. */
constexpr uint32_t BLOCK_LENGTH = 64;

/** Reads the block from its front. Integers and addresses are exact below 2^53. */
class BlockReader {
 public:
  explicit BlockReader(const double *block) : next_(block) {}
  double number() { return *next_++; }
  int64_t integer() { return static_cast<int64_t>(*next_++); }
  uint32_t word() { return static_cast<uint32_t>(integer()); }
  template <typename T>
  T *pointer() {
    return reinterpret_cast<T *>(static_cast<uintptr_t>(integer()));
  }
  template <int N>
  void integers(int64_t (&to)[N]) {
    for (int64_t &value : to) value = integer();
  }

 private:
  const double *next_;
};

}  // namespace polymla
