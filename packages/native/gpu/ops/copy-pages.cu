#include "copy-pages.h"

#include "../dialect/launch.h"
#include "cache-layout.h"
#include "chunks.h"

namespace polymla {
namespace {

constexpr int threads = 256;
/** Bytes that a block copies: 4 times 16 a thread. */
constexpr int64_t slice = threads * 64;

/** Copies bytes, a multiple of a Unit, between addresses aligned to it. By a block. */
template <class Unit>
PMLA_DEVICE void copyUnits(uint8_t* to, const uint8_t* from, int bytes) {
  const int count = bytes / sizeof(Unit);
#pragma unroll 4
  for (int i = threadIndex(); i < count; i += threads) reinterpret_cast<Unit*>(to)[i] = reinterpret_cast<const Unit*>(from)[i];
}

/** A block per slice of a page. */
PMLA_KERNEL(threads)
copyPages(const CacheLayout cache, uint8_t* memory, const int32_t* pages, int64_t pairs) {
  const int64_t slices = (cache.pageBytes + slice - 1) / slice;
  for (int64_t unit = blockIndex(); unit < pairs * slices; unit += blockCount()) {
    const int64_t from = pages[unit / slices * 2];
    const int64_t to = pages[unit / slices * 2 + 1];
    if (from == to || !cache.hasPage(from) || !cache.hasPage(to)) continue;
    const int64_t begin = unit % slices * slice;
    const int bytes = static_cast<int>(min(cache.pageBytes - begin, slice));
    const uint8_t* const source = memory + from * cache.pageStride + begin;
    uint8_t* const target = memory + to * cache.pageStride + begin;
    const uint64_t shared = reinterpret_cast<uint64_t>(source) | reinterpret_cast<uint64_t>(target) | bytes;
    if (shared % 16 == 0) {
      copyUnits<uint4>(target, source, bytes);
    } else if (shared % 4 == 0) {
      copyUnits<uint32_t>(target, source, bytes);
    } else {
      copyUnits<uint8_t>(target, source, bytes);
    }
  }
}

}  // namespace

void launchCopyPages(const pmla_copy_pages_problem& problem, const pmla_copy_pages_args& args, rt::Stream stream) {
  const CacheLayout cache(problem.cache);
  const int64_t slices = (cache.pageBytes + slice - 1) / slice;
  launchKernel(copyPages, "copy_pages", args.pairs * slices, threads, 0, stream, cache, static_cast<uint8_t*>(args.cache), args.pages, args.pairs);
}

}  // namespace polymla
