#include "sparse-decode.h"

#include "split-plan.h"

namespace polymla::cpu {
namespace {

bool hasExtra(const pmla_sparse_decode_problem &problem) { return (problem.flags & PMLA_SPARSE_EXTRA) != 0; }

/** One compute type for both caches: theirs if it is the same, else fp32, which loses nothing of either. */
Compute computeOf(const Kernels &kernels, const pmla_sparse_decode_problem &problem) {
  const uint32_t main = problem.cache.format;
  const Compute compute = kernels.compute(problem.q_dtype, main);
  if (!hasExtra(problem)) return compute;
  const uint32_t extra = problem.extra_cache.format;
  // Where only one of them has a scale, its keys take it while they are decoded.
  const bool oneScale = (main == PMLA_KV_E4M3) == (extra == PMLA_KV_E4M3);
  return oneScale && kernels.compute(problem.q_dtype, extra) == compute ? compute : Compute::F32;
}

/** What a plan knows before any launch. A unit's block is one of heads of a query token. */
struct SparseShape : SplitShape {
  SparseShape(const Kernels &kernels, const pmla_sparse_decode_problem &problem)
      : SparseShape(kernels, problem, RowBlocks(problem.heads)) {}

  SparseShape(const Kernels &kernels, const pmla_sparse_decode_problem &problem, const RowBlocks &heads)
      : SplitShape(kernels,
                   {computeOf(kernels, problem), static_cast<int>(problem.cache.head_dim),
                    static_cast<int>(problem.value_dim), static_cast<int>(heads.size)},
                   {problem.query_tokens, problem.heads, 1, problem.value_dim, problem.out_dtype},
                   problem.query_tokens * heads.count, INDEX_PAGE, static_cast<double>(problem.max_batch),
                   static_cast<double>((wholePages(std::max<int64_t>(problem.topk, 1)) +
                                        wholePages(hasExtra(problem) ? problem.extra_topk : 0)) /
                                       INDEX_PAGE),
                   problem.split_pages),
        headBlocks(heads) {
    const bool mainScale = problem.cache.format == PMLA_KV_E4M3;
    const bool extraScale = hasExtra(problem) && problem.extra_cache.format == PMLA_KV_E4M3;
    scaledKeys = hasExtra(problem) && mainScale != extraScale;
    scaledResults = mainScale && !scaledKeys;
  }

  RowBlocks headBlocks;
  bool scaledKeys;    // keys of e4m3 take their scale while they are decoded
  bool scaledResults; // logits and outs take it
};

/** A cache, and the leading indices that count for one query token. */
struct Indexed {
  const PagedCache &cache;
  const std::byte *memory;
  const int32_t *indices;
  int64_t count;
  KeySource source;

  void add(int64_t i, Attention &attention) const {
    const int64_t index = indices[i];
    if (!cache.hasToken(index)) return;
    const int64_t page = index / cache.shape().page_size;
    const int64_t offset = index % cache.shape().page_size;
    const bool scalesApart = source.format == PMLA_KV_FP8_584;
    const std::byte *scales = scalesApart ? memory + cache.scalesAt(page, offset) : nullptr;
    if (attention.addToken(source, memory + cache.tokenAt(page, offset, 0), scales))
      attention.closeTile(nullptr);
  }
};

class SparseDecodeJob : public SplitJob {
public:
  SparseDecodeJob(const Kernels &kernels, const pmla_sparse_decode_problem &problem, const SparseShape &shape,
                  const pmla_sparse_decode_args &args)
      : SplitJob(kernels, shape,
                 SplitWork(args.schedule, shape.costs.maxPartitions(), args.batch, shape.pageTokens,
                           args.split_pages, static_cast<int64_t>(shape.places),
                           Lengths(problem, args.topk_length, args.extra_topk_length)),
                 SplitResults(kernels, shape.result, static_cast<int64_t>(shape.places), args.workspace,
                              args.out, args.lse, args.sink, shape.scaledResults ? args.descale_k : 1)),
        problem_(problem), sparse_(shape), args_(args), main_(problem.cache),
        extra_(hasExtra(problem) ? problem.extra_cache : problem.cache) {}

protected:
  void attend(const Piece &piece, int64_t block, const Upcoming *, Attention &attention) const override;

private:
  void attendIndices(const Piece &piece, int64_t s, Attention &attention) const;
  KeySource sourceOf(const PagedCache &cache) const {
    const uint32_t format = cache.shape().format;
    const bool scaled = sparse_.scaledKeys && format == PMLA_KV_E4M3;
    return {format, scaled ? static_cast<float>(args_.descale_k) : 1.0f};
  }

  const pmla_sparse_decode_problem &problem_;
  const SparseShape &sparse_;
  const pmla_sparse_decode_args args_;
  const PagedCache main_;
  const PagedCache extra_;
};

void SparseDecodeJob::attend(const Piece &piece, int64_t block, const Upcoming *, Attention &attention) const {
  const int64_t s = block / sparse_.headBlocks.count;
  const int64_t begin = sparse_.headBlocks.begin(block % sparse_.headBlocks.count);
  const int64_t end = sparse_.headBlocks.end(block % sparse_.headBlocks.count);
  const auto *q = static_cast<const std::byte *>(args_.q);
  for (int64_t head = begin; head < end; head++) {
    const int64_t at =
        piece.request * args_.q_strides[0] + s * args_.q_strides[1] + head * args_.q_strides[2];
    attention.queries()[head - begin] = q + at * itemSize(problem_.q_dtype);
  }
  const double descale = sparse_.scaledResults ? args_.descale_k : 1;
  attention.begin(static_cast<int>(end - begin), problem_.q_dtype,
                  static_cast<float>(problem_.softmax_scale * descale));
  attendIndices(piece, s, attention);
  store(piece, s * problem_.heads + begin, s * problem_.heads + end, attention);
}

/** Places of the schedule count the main indices first, filled up to whole pages, then the extra ones. */
void SparseDecodeJob::attendIndices(const Piece &piece, int64_t s, Attention &attention) const {
  const int64_t token = piece.request * problem_.query_tokens + s;
  const Indexed first{main_, static_cast<const std::byte *>(args_.cache),
                      args_.indices + token * problem_.topk,
                      indexCount(args_.topk_length, piece.request, problem_.topk), sourceOf(main_)};
  const int64_t mainPlaces = wholePages(std::max<int64_t>(first.count, 1));
  const int64_t begin = piece.beginPage * INDEX_PAGE;
  const int64_t end = piece.endPage * INDEX_PAGE;
  for (int64_t i = begin; i < std::min(end, first.count); i++) first.add(i, attention);
  if (hasExtra(problem_)) {
    const Indexed second{extra_, static_cast<const std::byte *>(args_.extra_cache),
                         args_.extra_indices + token * problem_.extra_topk,
                         indexCount(args_.extra_topk_length, piece.request, problem_.extra_topk),
                         sourceOf(extra_)};
    for (int64_t i = std::max<int64_t>(begin - mainPlaces, 0); i < std::min(end - mainPlaces, second.count);
         i++) {
      second.add(i, attention);
    }
  }
  attention.closeTile(nullptr);
}

class SparseDecodePlan : public Plan {
public:
  SparseDecodePlan(const Kernels &kernels, const pmla_sparse_decode_problem &problem)
      : kernels_(kernels), problem_(problem), shape_(kernels, problem) {}

  pmla_choice choose(const pmla_load &load) const override { return shape_.costs.choose(load); }

  std::shared_ptr<const Job> launch(const void *args) const override {
    return std::make_shared<SparseDecodeJob>(kernels_, problem_, shape_,
                                             *static_cast<const pmla_sparse_decode_args *>(args));
  }

  std::shared_ptr<const Job> schedule(const pmla_schedule_args &args) const override {
    return scheduleJob(Lengths(problem_, args.lengths, args.extra_lengths), args,
                       shape_.costs.maxPartitions());
  }

private:
  const Kernels &kernels_;
  const pmla_sparse_decode_problem problem_;
  const SparseShape shape_;
};

} // namespace

OpFit fitSparseDecode(const Kernels &kernels, const pmla_sparse_decode_problem &problem) {
  return SparseShape(kernels, problem).fit(kernels);
}

std::unique_ptr<Plan> makeSparseDecodePlan(const Kernels &kernels,
                                           const pmla_sparse_decode_problem &problem) {
  return std::make_unique<SparseDecodePlan>(kernels, problem);
}

} // namespace polymla::cpu
