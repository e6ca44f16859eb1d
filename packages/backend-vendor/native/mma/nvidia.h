#pragma once
#include <type_traits>

#include "types.h"

namespace polymla {

/** mma.sync m16n8k16, twice, with ldmatrix (compute capability 8.0 and newer; PTX ISA, "Matrix fragments for mma.m16n8k16"). */
template <class T> struct NvidiaMma {
  static constexpr int lanes = 32;
  static constexpr int values = 8;
  static constexpr int rows = 2;
  static constexpr int run = 2;
  static constexpr int rowStep = 1;
  static constexpr int rowLanes = 4;
  static PMLA_DEVICE int rowOf(int lane, int r) { return lane / 4 + 8 * r; }
  static PMLA_DEVICE constexpr int rowIndex(int i) { return i / 2 % 2; }
  static PMLA_DEVICE int columnOf(int lane, int i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }

  struct Left {
    uint32_t words[4];
  };
  struct Right {
    uint32_t words[4]; ///< two of the left eight columns, two of the right
  };

  template <class TileT> static PMLA_DEVICE Left loadLeft(const TileT &tile, int lane, int row, int k) {
    Left left;
    load(left.words, tile.chunk(row + lane % 16, k / 8 + lane / 16));
    return left;
  }
  template <class TileT> static PMLA_DEVICE Right loadRows(const TileT &tile, int lane, int n, int k) {
    Right right;
    load(right.words, tile.chunk(n + lane / 16 * 8 + lane % 8, k / 8 + lane / 8 % 2));
    return right;
  }
  template <class TileT> static PMLA_DEVICE Right loadColumns(const TileT &tile, int lane, int k, int n) {
    Right right;
    const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(tile.chunk(k + lane % 16, n / 8 + lane / 16)));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(right.words[0]), "=r"(right.words[1]), "=r"(right.words[2]), "=r"(right.words[3])
                 : "r"(at)
                 : "memory");
    return right;
  }

  static PMLA_DEVICE void multiply(float (&sums)[values], const Left &left, const Right &right) {
    half(sums[0], sums[1], sums[2], sums[3], left, right.words[0], right.words[1]);
    half(sums[4], sums[5], sums[6], sums[7], left, right.words[2], right.words[3]);
  }

private:
  static PMLA_DEVICE void load(uint32_t (&words)[4], const unsigned char *from) {
    const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(from));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(at)
                 : "memory");
  }
  static PMLA_DEVICE void half(float &c0, float &c1, float &c2, float &c3, const Left &a, uint32_t b0, uint32_t b1) {
    if constexpr (std::is_same_v<T, Bf16>) {
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                   : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                   : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b0), "r"(b1));
    } else {
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                   : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                   : "r"(a.words[0]), "r"(a.words[1]), "r"(a.words[2]), "r"(a.words[3]), "r"(b0), "r"(b1));
    }
  }
};

} // namespace polymla
