#pragma once

namespace polymla::cpu {
namespace {

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }

/** A number that is part of a type. */
template <int number> struct Constant {
  static constexpr int value = number;
};

/** Calls `f` with `number`, 1 … `most`, as a Constant. */
template <int most, class F> inline void withConstant(int number, F f) {
  if constexpr (most > 1) {
    if (number < most) return withConstant<most - 1>(number, f);
  }
  f(Constant<most>{});
}

/** Cuts 0 … count − 1 into as few blocks of at most `most` as there can be, of nearly equal size: f(begin, size). */
template <int most, class F> inline void forBlocks(int count, F f) {
  for (int blocks = (count + most - 1) / most, begin = 0; blocks > 0; blocks--) {
    const int size = (count - begin + blocks - 1) / blocks;
    f(begin, size);
    begin += size;
  }
}

} // namespace
} // namespace polymla::cpu
