#pragma once

#include "kernels.h"
#include "vec.h"

namespace polymla::cpu {
namespace {

/** How a vector of numbers of keys is read from tiles, and written to them. */
template <class V> struct F32Keys {
  static constexpr int bytes = 4;
  static constexpr uint32_t dtype = PMLA_F32;
  static typename V::Floats load(const std::byte *from) { return V::load(from); }
  static void store(std::byte *to, typename V::Floats numbers) { V::store(to, numbers); }
};

template <class V> struct F16Keys {
  static constexpr int bytes = 2;
  static constexpr uint32_t dtype = PMLA_F16;
  static typename V::Floats load(const std::byte *from) { return V::loadF16(from); }
  static void store(std::byte *to, typename V::Floats numbers) { V::storeF16(to, numbers); }
};

template <class V> struct Bf16Keys {
  static constexpr int bytes = 2;
  static constexpr uint32_t dtype = PMLA_BF16;
  static typename V::Floats load(const std::byte *from) { return V::loadBf16(from); }
  static void store(std::byte *to, typename V::Floats numbers) { V::storeBf16(to, numbers); }
};

/** Calls `f` with the key type of a compute type: one that tiles are gathered as. */
template <class V, class F> inline void withKeys(Compute compute, F f) {
  switch (compute) {
  case Compute::Bf16: return f(Bf16Keys<V>{});
  case Compute::F16: return f(F16Keys<V>{});
  default: return f(F32Keys<V>{});
  }
}

} // namespace
} // namespace polymla::cpu
