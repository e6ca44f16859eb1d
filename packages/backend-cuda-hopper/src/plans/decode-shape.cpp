#include "decode-shape.h"

#include <algorithm>
#include <string>

#include "decode-cost.h"
#include "decode-kernels.h"
#include "kit/failure.h"
#include "kit/schedule-walk.h"

namespace polymla {
namespace {

constexpr int64_t mostGridRows = 65535;
/** Of outputs and parts of splits, in either type. */
constexpr int64_t valueBytes = 2;
/** Strides of a tensor map are shorter. */
constexpr int64_t mapStride = int64_t{1} << 40;

int64_t rowsOf(const pmla_decode_problem& problem) { return problem.query_tokens * (problem.heads / problem.cache.heads_kv); }

std::string refused(const char* property, const std::string& value, const char* limit) {
  return std::string(property) + " is " + value + ", and the kernels take " + limit;
}
std::string refused(const char* property, int64_t value, const char* limit) { return refused(property, std::to_string(value), limit); }

const char* typeName(uint32_t dtype) {
  return dtype == PMLA_BF16 ? "bf16" : dtype == PMLA_F16 ? "f16" : dtype == PMLA_F32 ? "f32" : "e4m3";
}

/** Pages of 64 tokens per split: whole ones, so those of smaller pages hold more than was asked for. 0: not cut. */
int64_t splitPagesOf(const pmla_decode_problem& problem) {
  if (problem.split_pages == 0) return 0;
  const int64_t longest = pagesOf(problem.block_table_width * problem.cache.page_size, pageTokens);
  // A split that no request fills may as well be shorter.
  const int64_t asked = std::min(problem.split_pages, std::max<int64_t>(problem.block_table_width, 1));
  return std::clamp<int64_t>(pagesOf(asked * problem.cache.page_size, pageTokens), 1, std::max<int64_t>(longest, 1));
}
/** Columns of the table that a split's pages take. */
int64_t splitColumnsOf(const pmla_decode_problem& problem) {
  const int64_t tokens = splitPagesOf(problem) * pageTokens;
  return (tokens + problem.cache.page_size - 1) / problem.cache.page_size;
}
/** Most splits of a request; 0: not cut. */
int64_t mostSplitsOf(const pmla_decode_problem& problem) {
  if (problem.split_pages == 0) return 0;
  const int64_t longest = std::max<int64_t>(pagesOf(problem.block_table_width * problem.cache.page_size, pageTokens), 1);
  const int64_t pages = splitPagesOf(problem);
  return (longest + pages - 1) / pages;
}

bool takesPages(int64_t size) { return size == 16 || size == 32 || (size % pageTokens == 0 && size <= INT32_MAX); }

/** What is in the way of a problem; empty when nothing is. */
std::string refusal(const pmla_decode_problem& problem) {
  const pmla_kv_layout& cache = problem.cache;
  const bool bf16 = problem.q_dtype == PMLA_BF16;
  if (!bf16 && problem.q_dtype != PMLA_F16) return refused("q_dtype", typeName(problem.q_dtype), "bf16 and f16");
  if (problem.out_dtype != problem.q_dtype) return refused("out_dtype", typeName(problem.out_dtype), "that of q");
  if (cache.format != (bf16 ? PMLA_KV_BF16 : PMLA_KV_F16)) {
    return refused("cache.format", "not that of q", bf16 ? "a bf16 cache with a bf16 q" : "an fp16 cache with an f16 q");
  }
  if (cache.head_dim != queryDim && cache.head_dim != valueDim) return refused("cache.head_dim", cache.head_dim, "576 and 512");
  if (problem.value_dim != valueDim) return refused("value_dim", problem.value_dim, "512");
  if (!takesPages(cache.page_size)) return refused("cache.page_size", cache.page_size, "16, 32 and multiples of 64");
  if (!(problem.softmax_scale > 0)) return refused("softmax_scale", std::to_string(problem.softmax_scale), "positive ones");
  if (cache.pages < 1 || cache.pages > INT32_MAX) return refused("cache.pages", cache.pages, "1 to 2^31 − 1");
  if (cache.page_stride % 8 != 0) return refused("cache.page_stride", cache.page_stride, "multiples of 8, which are 16 bytes");
  if (cache.page_stride >= mapStride / 2) return refused("cache.page_stride", cache.page_stride, "less than 2^39");
  if (cache.heads_kv > mostGridRows) return refused("cache.heads_kv", cache.heads_kv, "up to 65,535");
  if (rowsOf(problem) > mostGridRows * 16) return refused("query_tokens · heads / heads_kv", rowsOf(problem), "up to 1,048,560");
  if (problem.query_tokens * problem.heads > INT32_MAX) {
    return refused("query_tokens · heads", problem.query_tokens * problem.heads, "up to 2^31 − 1");
  }
  // As doubles: too much for a workspace is too much for int64, too.
  const double splits = static_cast<double>(problem.max_batch) * static_cast<double>(mostSplitsOf(problem));
  if (splits >= INT32_MAX) return refused("split_pages", problem.split_pages, "those that cut a batch into less than 2^31 splits");
  const double parts = (splits > 0 ? splits : static_cast<double>(problem.max_batch)) + mostPartitions;
  const double scratchRows = parts * static_cast<double>(cache.heads_kv) * static_cast<double>(rowsOf(problem) + 64);
  const double tables = splits * static_cast<double>(splitColumnsOf(problem));
  if (scratchRows * (valueDim * valueBytes + 8) + tables * 4 > 0x1p53) {
    return refused("max_batch", problem.max_batch, "batches whose partial results are less than 2^53 bytes");
  }
  return "";
}

}  // namespace

DecodeShape::DecodeShape(int multiprocessors, const pmla_decode_problem& problem) {
  const auto rows = static_cast<int>(rowsOf(problem));
  const auto headsKv = static_cast<int>(problem.cache.heads_kv);
  // Of a batch-invariant plan the same whatever the batch.
  constexpr int64_t manyPages = int64_t{1} << 32;
  const int64_t pages = problem.split_pages > 0 ? manyPages : problem.max_batch * pagesOf(problem.block_table_width * problem.cache.page_size, pageTokens);
  rowBlock = fewRowsBlock(rows, pages);
  // What the many-rows kernel lacks.
  if (rowBlock == 0 && (problem.cache.head_dim != queryDim || problem.mask == PMLA_MASK_TREE)) rowBlock = 64;
  fewRows = rowBlock > 0;
  ownSchedule = problem.cache.page_size != pageTokens;
  partitions = fewRows ? FewRowsKernel::partitions(rows, rowBlock, headsKv, multiprocessors)
                       : ManyRowsKernel::partitions(rows, headsKv, multiprocessors);
  splitPages = splitPagesOf(problem);
  splitColumns = splitColumnsOf(problem);
  mostSplits = problem.max_batch * mostSplitsOf(problem);
  // The kernels cut no request of a batch of splits.
  counters = mostSplits > 0 ? 0 : arrivalCounters(problem.max_batch, headsKv, rows);

  // Every partition but the last may cut a request in two.
  const int64_t cuts = mostSplits > 0 ? 0 : problem.max_batch + partitions - 1;
  const int64_t scratchRows = cuts * headsKv * (fewRows ? FewRowsKernel::scratchRows(rows, rowBlock) : ManyRowsKernel::scratchRows(rows));
  const int64_t rowsOfPart = problem.query_tokens * problem.heads;
  const int64_t scheduleBytes = partitions * static_cast<int64_t>(sizeof(ScheduleRow));
  uint64_t end = 0;
  const auto section = [&](int64_t bytes) {
    const uint64_t begin = end;
    end = static_cast<uint64_t>(roundUp(static_cast<int64_t>(begin) + bytes, 256));
    return begin;
  };
  workspace.partialOut = section(scratchRows * valueDim * valueBytes);
  workspace.partialLse = section(scratchRows * 4);
  workspace.lse = section(problem.max_batch * rowsOfPart * 4);
  workspace.rows = section(ownSchedule ? scheduleBytes : 0);
  workspace.numSplits = section(ownSchedule ? (problem.max_batch + 1) * 4 : 0);
  workspace.splitRows = section(mostSplits > 0 ? scheduleBytes : 0);
  workspace.splitLengths = section(mostSplits * 4);
  workspace.requestOf = section(mostSplits * 4);
  workspace.splitTable = section(mostSplits * splitColumns * 4);
  workspace.splitFirsts = section(mostSplits > 0 ? (mostSplits + 1) * 4 : 0);
  workspace.partOuts = section(mostSplits * rowsOfPart * valueDim * valueBytes);
  workspace.partLses = section(mostSplits * rowsOfPart * 4);
  workspace.bytes = end;
}

Fit fitDecode(int multiprocessors, const pmla_decode_problem& problem) {
  Fit fit;
  fit.why = refusal(problem);
  if (!fit.why.empty()) return fit;
  const DecodeShape shape(multiprocessors, problem);
  fit.grade = PMLA_FIT_TUNED;
  fit.workspaceBytes = shape.workspace.bytes;
  fit.maxPartitions = shape.ownSchedule ? 0 : shape.partitions;
  fit.fixedOverhead = splitOverhead;
  fit.schedules = !shape.ownSchedule;
  return fit;
}

void requireDecodeArgs(const pmla_decode_args& args) {
  const auto requireAligned = [](const char* name, const void* pointer) {
    if (reinterpret_cast<uintptr_t>(pointer) % 16 == 0) return;
    throw makeFailure(PMLA_UNSUPPORTED, "Begin it at a multiple of 16 bytes", "%s: the kernels take addresses that are multiples of 16, found %p",
                      name, pointer);
  };
  requireAligned("q", args.q);
  requireAligned("cache", args.cache);
  requireAligned("out", args.out);
  for (const int64_t stride : args.q_strides) {
    if (stride % 8 == 0) continue;
    throw makeFailure(PMLA_UNSUPPORTED, "Copy q into a contiguous tensor",
                      "q_strides: the kernels take multiples of 8, which are 16 bytes, found %lld", static_cast<long long>(stride));
  }
}

}  // namespace polymla
