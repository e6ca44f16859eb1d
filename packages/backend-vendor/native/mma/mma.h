#pragma once
#include "scalar.h"

// The one hook for matrix units: products of 16 × 16 × 16 by teams of neighbouring threads, with operands in registers; or
// wide ones, with operands in shared memory.
//
//   lanes                  threads of a team
//   values, rows           that a lane has of a 16 × 16 result, and how many rows they belong to
//   run                    values i, i + 1, … i + run − 1 are neighbours in a row, for multiples i of run
//   rowOf(lane, r)         the r-th of a lane's rows
//   rowIndex(i)            to which of them value i belongs
//   columnOf(lane, i)      its column
//   rowStep, rowLanes      a row's values are with `rowLanes` lanes of a group, `rowStep` apart; both are powers of two
//   Left loadLeft(tile, row, k)        rows from `row` on, columns from `k` on
//   Right loadRows(tile, n, k)         right[k][n] = tile[n][k]
//   Right loadColumns(tile, k, n)      right[k][n] = tile[k][n]
//   multiply(sums, left, right)        sums += left · right
//
// A wide hook has the values of 16 × 16 results likewise, and in place of the last four
//
//   LeftTile<Rows, Columns>, KeyTile<Rows, Columns>         how tiles lie in shared memory: queries and weights; keys
//   multiplyRows(sums, left, row, right, depth)             sums += left[row …][0, depth) · (right[0 …][0, depth))ᵀ
//   multiplyColumns(sums, left, right, column)              sums += left · right[…][column …]
//
// where sums are of [row tiles][column tiles], at once. It serves tiles of 32 rows and keys or more (attend-config.h).
//
// A hook that has run nowhere says so. Where there is none, the scalar one serves: on Moore Threads' GPUs before MP 3.1, on
// Iluvatar's, and on AMD's without MFMA.

#if defined(PMLA_DIALECT_CUDA)
#include "nvidia.h"
namespace polymla {
template <class T> struct MmaOf { using Type = NvidiaMma<T>; };
} // namespace polymla
#elif defined(PMLA_DIALECT_HIP) && (defined(__gfx936__) || defined(__gfx928__) || defined(__gfx938__))
#include "hygon.h"
namespace polymla {
template <class T> struct MmaOf { using Type = HygonMma<T>; };
} // namespace polymla
#elif defined(PMLA_DIALECT_HIP) && (defined(__gfx908__) || defined(__gfx90a__) || defined(__gfx940__) || \
                                    defined(__gfx941__) || defined(__gfx942__) || defined(__gfx950__))
#include "amd.h"
namespace polymla {
template <class T> struct MmaOf { using Type = AmdMma<T>; };
} // namespace polymla
#elif defined(PMLA_DIALECT_MACA) && defined(__MACACC__)
#include "metax.h"
namespace polymla {
template <class T> struct MmaOf { using Type = MetaxMma<T>; };
} // namespace polymla
#elif defined(PMLA_DIALECT_MUSA) && defined(__MUSA_ARCH__) && __MUSA_ARCH__ == 310
#include "moore-threads.h"
namespace polymla {
template <class T> struct MmaOf { using Type = MooreThreadsMma<T>; };
} // namespace polymla
#if !defined(PMLA_WITHOUT_SQMMA)
#define PMLA_WIDE_MMA MooreThreadsSquadMma
#endif
#else
namespace polymla {
template <class T> struct MmaOf { using Type = ScalarMma<T>; };
} // namespace polymla
#if defined(PMLA_DIALECT_EMULATED) && defined(PMLA_EMULATED_SQMMA)
#define PMLA_WIDE_MMA MooreThreadsSquadMma
#endif
#endif

#if defined(PMLA_WIDE_MMA)
#include "moore-threads-squad.h"
#endif

namespace polymla {

template <> struct MmaOf<F32> { using Type = ScalarMma<F32>; };
template <class T> using Mma = typename MmaOf<T>::Type;

#if defined(PMLA_WIDE_MMA)
template <class T> constexpr bool hasWideMma = sizeof(typename T::Storage) == 2;
template <class T> using WideMma = PMLA_WIDE_MMA<T>;
#else
template <class T> constexpr bool hasWideMma = false;
template <class T> struct WideMma;
#endif

} // namespace polymla
