#pragma once
#include "../dialect/launch.h"
#include "chunks.h"

// Kernels in which a row, such as a token of a KV head, is between `rowLanes` lanes: 16 or 32. With 16 the 32 of a group compute
// what is of a row for two of them at a time; with 32 a row is done sooner, which is what counts while few rows are there.

namespace polymla {

/** Rows from which on 16 lanes each are faster (measured: packages/backend-cuda-hopper/NOTES.md). */
constexpr int64_t manyRows = 4096;
/** Of a block. */
constexpr int rowsThreads = 128;
template <int rowLanes>
constexpr int blockRows = rowsThreads / rowLanes;
/** Numbers of a row that its lanes take at a time, and how many times they do so before they wait for the first. */
template <int rowLanes>
constexpr int span = rowLanes * chunkValues;
template <int rowLanes>
constexpr int spans = 512 / span<rowLanes>;

/** Enqueues the kernel for so many rows, `many` of 16 lanes or `few` of 32, each a PMLA_KERNEL of rowsThreads. Throws Failure. */
template <class... Params>
void launchRows(void (*few)(Params...), void (*many)(Params...), const char* name, int64_t rows, rt::Stream stream, const Params&... params) {
  const bool areMany = rows >= manyRows;
  const int64_t block = areMany ? blockRows<16> : blockRows<32>;
  launchKernel(areMany ? many : few, name, (rows + block - 1) / block, rowsThreads, 0, stream, params...);
}

}  // namespace polymla
