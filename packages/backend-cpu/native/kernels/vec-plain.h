#pragma once

#include "convert.h"
#include "vec.h"

namespace polymla::cpu {
namespace {

/** Vectors in the compiler's own terms; nearly every processor has registers of 16 bytes. */
struct PlainVec : Vec<4> {
  static constexpr int accumulators = 8;
  static constexpr int rowVectors = 2;
  static constexpr int fewRows = 2;

  static Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }
  static Floats max(Floats a, Floats b) { return a > b ? a : b; }
  static Floats broadcastQuad(const float *source) { return load(source); }
  static Floats sumQuads(Floats a, Floats b, Floats c, Floats d) {
    const auto sum = [](Floats v) { return (v[0] + v[1]) + (v[2] + v[3]); };
    return Floats{sum(a), sum(b), sum(c), sum(d)};
  }
  static void sum4(float *to, Floats a, Floats b, Floats c, Floats d) { store(to, sumQuads(a, b, c, d)); }

  static Floats loadBf16(const void *codes) { return decode<uint16_t>(codes, decodeBf16); }
  static Floats loadF16(const void *codes) { return decode<uint16_t>(codes, decodeF16); }
  static Floats loadE4m3(const void *codes) { return decode<uint8_t>(codes, decodeE4m3); }
  static void storeBf16(void *codes, Floats a) { encode(codes, a, encodeBf16); }
  static void storeF16(void *codes, Floats a) { encode(codes, a, encodeF16); }

private:
  template <class Code> static Floats decode(const void *codes, float (*value)(Code)) {
    Code code[lanes];
    std::memcpy(code, codes, sizeof code);
    return Floats{value(code[0]), value(code[1]), value(code[2]), value(code[3])};
  }
  static void encode(void *codes, Floats a, uint16_t (*code)(float)) {
    const uint16_t code16[lanes] = {code(a[0]), code(a[1]), code(a[2]), code(a[3])};
    std::memcpy(codes, code16, sizeof code16);
  }
};

} // namespace
} // namespace polymla::cpu
