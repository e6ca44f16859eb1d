#include "attend-shape.h"

#include <algorithm>
#include <cmath>

namespace polymla {
namespace {

constexpr int64_t widest = 576;
/** Cost of a piece of work beside its keys, in keys: queries brought, partial results written and combined. */
constexpr int64_t overheadKeys = 192;
constexpr int64_t mostPartitions = 1024;

int64_t blocksOf(int64_t rows, int64_t each) { return (rows + each - 1) / each; }
uint64_t aligned(double bytes) { return (static_cast<uint64_t>(bytes) + 255) / 256 * 256; }

std::string refused(const char *property, int64_t value, const std::string &limit) {
  return std::string(property) + " is " + std::to_string(value) + ", and the portable kernels take " + limit;
}

/** Numbers of a cache that a type holds without loss. The scales of 656 may be any, and 584 has rope in bf16. */
bool holds(Compute compute, uint32_t format) {
  if (compute == Compute::F32) return true;
  if (format == PMLA_KV_E4M3) return true;
  if (compute == Compute::F16) return format == PMLA_KV_F16;
  return format == PMLA_KV_BF16 || format == PMLA_KV_FP8_656 || format == PMLA_KV_FP8_584;
}
bool holdsQuery(Compute compute, uint32_t dtype) {
  return compute == Compute::F32 || dtype == PMLA_E4M3 || dtype == (compute == Compute::F16 ? PMLA_F16 : PMLA_BF16);
}

Compute computeOf(uint32_t query, uint32_t format, uint32_t extraFormat) {
  for (const Compute compute : {Compute::Bf16, Compute::F16}) {
    if (holdsQuery(compute, query) && holds(compute, format) && holds(compute, extraFormat)) return compute;
  }
  return Compute::F32;
}

/** Which kernel, or why none. */
void chooseKernel(AttendShape &shape, const DeviceTraits &traits, Compute compute, int64_t rows, int64_t headDim, int64_t valueDim) {
  if (valueDim > 512) compute = Compute::F32;
  shape.kernel = AttendKernel::choose(compute, rows, traits.sharedMost);
  shape.rows = rows;
  shape.valueDim = valueDim;
  if (headDim > widest) {
    shape.why = refused("head_dim", headDim, "up to 576");
  } else if (shape.kernel.sizes.rows == 0) {
    shape.why = "numbers of these types are multiplied in fp32, which takes " + std::to_string(AttendKernel::least(compute)) +
                " bytes of shared memory, and a block of this device has " + std::to_string(traits.sharedMost);
  } else {
    shape.rowBlocks = blocksOf(rows, shape.kernel.sizes.rows);
  }
}

/** Partitions, and places for the partial results of requests that are split. */
void cutWork(AttendShape &shape, const DeviceTraits &traits, int64_t blocks, double maxBatch, double maxPages, int64_t splitPages) {
  if (!shape.why.empty()) return;
  shape.partitions = std::clamp<int64_t>(traits.units / blocks, 1, mostPartitions);
  shape.fixedOverhead = std::max<int64_t>(overheadKeys / shape.pageTokens, 1);
  // Unless they are cut at fixed places, requests are cut only where a partition ends.
  const double perRequest = std::max(std::floor((maxPages - 1) / static_cast<double>(std::max<int64_t>(splitPages, 1))), 0.0);
  const double cuts = maxBatch * perRequest;
  const double most = splitPages > 0 ? cuts : std::min(cuts, static_cast<double>(shape.partitions - 1));
  const double places = std::min(2 * most, maxBatch + most);
  const double bytes = places * static_cast<double>(shape.allRows) * static_cast<double>(shape.valueDim + 1) * 4;
  if (bytes > 0x1p53) {
    shape.why = "query_tokens times heads is " + std::to_string(shape.allRows) + "; partial results of so many rows exceed 2^53 bytes";
    return;
  }
  shape.places = static_cast<int64_t>(places);
}

} // namespace

uint64_t AttendShape::partialOutBytes() const {
  return aligned(static_cast<double>(places) * static_cast<double>(allRows) * static_cast<double>(valueDim) * 4);
}
uint64_t AttendShape::partialLseBytes() const { return aligned(static_cast<double>(places) * static_cast<double>(allRows) * 4); }

Fit AttendShape::fit() const {
  Fit fit;
  fit.why = why;
  if (!why.empty()) return fit;
  fit.grade = kernel.compute == Compute::F32 ? PMLA_FIT_CORRECT : PMLA_FIT_TUNED;
  fit.workspaceBytes = partialOutBytes() + partialLseBytes();
  fit.maxPartitions = partitions;
  fit.fixedOverhead = fixedOverhead;
  fit.schedules = partitions > 0;
  return fit;
}

AttendShape shapeOf(const DeviceTraits &traits, const pmla_decode_problem &problem) {
  AttendShape shape;
  const pmla_kv_layout &cache = problem.cache;
  const int64_t rows = problem.query_tokens * (problem.heads / cache.heads_kv);
  shape.pageTokens = cache.page_size;
  shape.allRows = problem.query_tokens * problem.heads;
  shape.scaledResults = cache.format == PMLA_KV_E4M3;
  chooseKernel(shape, traits, computeOf(problem.q_dtype, cache.format, PMLA_KV_E4M3), rows, cache.head_dim, problem.value_dim);
  cutWork(shape, traits, cache.heads_kv * shape.rowBlocks, static_cast<double>(problem.max_batch),
          static_cast<double>(problem.block_table_width), problem.split_pages);
  return shape;
}

AttendShape shapeOf(const DeviceTraits &traits, const pmla_sparse_decode_problem &problem) {
  AttendShape shape;
  const bool extra = (problem.flags & PMLA_SPARSE_EXTRA) != 0;
  const uint32_t format = problem.cache.format;
  const uint32_t extraFormat = extra ? problem.extra_cache.format : format;
  Compute compute = computeOf(problem.q_dtype, format, extraFormat);
  shape.scaledResults = format == PMLA_KV_E4M3 && extraFormat == PMLA_KV_E4M3;
  if ((format == PMLA_KV_E4M3) != (extraFormat == PMLA_KV_E4M3)) {
    // One of two caches has a scale, which its keys take as they are brought: exactly only in fp32.
    compute = Compute::F32;
  }
  shape.pageTokens = indexPage;
  shape.allRows = problem.query_tokens * problem.heads;
  chooseKernel(shape, traits, compute, problem.heads, problem.cache.head_dim, problem.value_dim);
  const int64_t pages = blocksOf(std::max<int64_t>(problem.topk, 1), indexPage) + (extra ? blocksOf(problem.extra_topk, indexPage) : 0);
  cutWork(shape, traits, problem.query_tokens * shape.rowBlocks, static_cast<double>(problem.max_batch), static_cast<double>(pages),
          problem.split_pages);
  return shape;
}

AttendShape shapeOf(const DeviceTraits &traits, const pmla_sparse_prefill_problem &problem) {
  AttendShape shape;
  shape.allRows = problem.heads;
  const uint32_t format = problem.dtype == PMLA_BF16 ? PMLA_KV_BF16 : problem.dtype == PMLA_F16 ? PMLA_KV_F16 : PMLA_KV_F32;
  chooseKernel(shape, traits, computeOf(problem.dtype, format, format), problem.heads, problem.head_dim, problem.value_dim);
  return shape;
}

} // namespace polymla
