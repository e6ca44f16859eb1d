#pragma once
#include "scalar.h"

// The one hook for matrix units: a product of 16 × 16 × 16, by a team of neighbouring threads.
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
#else
namespace polymla {
template <class T> struct MmaOf { using Type = ScalarMma<T>; };
} // namespace polymla
#endif

namespace polymla {

template <> struct MmaOf<F32> { using Type = ScalarMma<F32>; };
template <class T> using Mma = typename MmaOf<T>::Type;

} // namespace polymla
