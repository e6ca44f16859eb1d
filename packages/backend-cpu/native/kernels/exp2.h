#pragma once

namespace polymla::cpu {
namespace {

/**
 * 2^x for x ≤ 127, relative error below 1.2e-7; exactly 1 for 0; 0 below −126.5; NaN for NaN. The polynomial is the best
 * of its degree on [−½, ½] with constant term 1 (error 2e-9).
 */
template <class V> inline typename V::Floats exp2(typename V::Floats x) {
  const auto clamped = V::max(V::broadcast(-127.0f), x);
  const auto integer = V::round(clamped);
  const auto f = clamped - integer;
  auto p = V::broadcast(0x1.41fbbcp-13f);
  p = V::fma(p, f, V::broadcast(0x1.5f3e52p-10f));
  p = V::fma(p, f, V::broadcast(0x1.3b2d4cp-7f));
  p = V::fma(p, f, V::broadcast(0x1.c6aee8p-5f));
  p = V::fma(p, f, V::broadcast(0x1.ebfbdcp-3f));
  p = V::fma(p, f, V::broadcast(0x1.62e430p-1f));
  p = V::fma(p, f, V::broadcast(1.0f));
  return V::scale(p, integer);
}

} // namespace
} // namespace polymla::cpu
