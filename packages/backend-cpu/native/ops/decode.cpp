#include "decode.h"

#include "split-plan.h"
#include "visibility.h"

namespace polymla::cpu {
namespace {

/** Pages from which on reading tiles in place beats gathering full ones: units for bf16 want many keys at a time. */
int64_t smallestInPlace(Compute compute) { return compute == Compute::Bf16 ? TILE_KEYS : 16; }

/** What a plan knows before any launch. */
struct DecodeShape : SplitShape {
  DecodeShape(const Kernels &kernels, const pmla_decode_problem &problem)
      : DecodeShape(kernels, problem,
                    RowBlocks(problem.query_tokens * (problem.heads / problem.cache.heads_kv)),
                    kernels.compute(problem.q_dtype, problem.cache.format)) {}

  /** @param gathered the compute type of tiles that are gathered */

  DecodeShape(const Kernels &kernels, const pmla_decode_problem &problem, const RowBlocks &rows,
              Compute gathered)
      : DecodeShape(kernels, problem, rows,
                    problem.cache.page_size < smallestInPlace(gathered)
                        ? gathered
                        : kernels.computeInPlace(problem.q_dtype, problem.cache.format,
                                                 static_cast<int>(rows.size)),
                    problem.cache.page_size >= smallestInPlace(gathered)) {}

  DecodeShape(const Kernels &kernels, const pmla_decode_problem &problem, const RowBlocks &rows,
              Compute compute, bool largePages)
      : SplitShape(kernels,
                   {compute, static_cast<int>(problem.cache.head_dim), static_cast<int>(problem.value_dim),
                    static_cast<int>(rows.size)},
                   {problem.query_tokens, problem.heads, problem.cache.heads_kv, problem.value_dim,
                    problem.out_dtype},
                   problem.cache.heads_kv * rows.count, problem.cache.page_size,
                   static_cast<double>(problem.max_batch), static_cast<double>(problem.block_table_width),
                   problem.split_pages),
        rowBlocks(rows), inPlace(largePages && kernels.direct(problem.cache.format, compute)) {}

  RowBlocks rowBlocks; // of one KV head
  bool inPlace;        // whether tiles are read from the cache as they are
};

class DecodeJob : public SplitJob {
public:
  DecodeJob(const Kernels &kernels, const pmla_decode_problem &problem, const DecodeShape &shape,
            const pmla_decode_args &args)
      : SplitJob(kernels, shape,
                 SplitWork(args.schedule, shape.costs.maxPartitions(), args.batch, shape.pageTokens,
                           args.split_pages, static_cast<int64_t>(shape.places),
                           Lengths(problem, args.seqlens)),
                 SplitResults(kernels, shape.result, static_cast<int64_t>(shape.places), args.workspace,
                              args.out, args.lse, nullptr, args.descale_k)),
        problem_(problem), decode_(shape), args_(args), cache_(problem.cache) {}

protected:
  void attend(const Piece &piece, int64_t block, const Upcoming *next, Attention &attention) const override;

private:
  void expectFirstTile(const Piece &piece, int64_t kvHead, Attention &attention) const;
  void attendInPlace(const Piece &piece, int64_t kvHead, int64_t begin, int64_t end,
                     const Visibility &visibility, Attention &attention) const;
  void attendGathered(const Piece &piece, int64_t kvHead, int64_t begin, int64_t end,
                      const Visibility &visibility, Attention &attention) const;
  template <class PositionOf>
  const uint64_t *maskTile(int64_t begin, int64_t end, int count, const Visibility &visibility,
                           Attention &attention, PositionOf positionOf) const;
  int64_t token(int64_t row) const { return row / shape_.result.group(); }
  const int32_t *pages(const Piece &piece) const {
    return args_.block_table + piece.request * problem_.block_table_width;
  }
  /** Of a page's tokens from `offset` on, where they are apart; else null. */
  const std::byte *scalesOf(int64_t id, int64_t offset) const {
    return problem_.cache.format == PMLA_KV_FP8_584 ? keys() + cache_.scalesAt(id, offset) : nullptr;
  }
  const std::byte *keys() const { return static_cast<const std::byte *>(args_.cache); }

  const pmla_decode_problem &problem_;
  const DecodeShape &decode_;
  const pmla_decode_args args_;
  const PagedCache cache_;
};

void DecodeJob::attend(const Piece &piece, int64_t block, const Upcoming *next, Attention &attention) const {
  const int64_t kvHead = block / decode_.rowBlocks.count;
  const int64_t begin = decode_.rowBlocks.begin(block % decode_.rowBlocks.count);
  const int64_t end = decode_.rowBlocks.end(block % decode_.rowBlocks.count);
  const int64_t group = shape_.result.group();
  const auto *q = static_cast<const std::byte *>(args_.q);
  for (int64_t row = begin; row < end; row++) {
    const int64_t head = kvHead * group + row % group;
    const int64_t at =
        piece.request * args_.q_strides[0] + token(row) * args_.q_strides[1] + head * args_.q_strides[2];
    attention.queries()[row - begin] = q + at * itemSize(problem_.q_dtype);
  }
  attention.begin(static_cast<int>(end - begin), problem_.q_dtype,
                  static_cast<float>(problem_.softmax_scale * args_.descale_q * args_.descale_k));

  const int64_t words = (problem_.query_tokens + 31) / 32;
  const bool tree = problem_.mask == PMLA_MASK_TREE;
  const Visibility visibility(problem_, piece.length,
                              tree ? args_.tree_mask + piece.request * problem_.query_tokens * words
                                   : nullptr);
  if (decode_.inPlace && next != nullptr)
    expectFirstTile(next->piece, next->block / decode_.rowBlocks.count, attention);
  if (decode_.inPlace) attendInPlace(piece, kvHead, begin, end, visibility, attention);
  else attendGathered(piece, kvHead, begin, end, visibility, attention);
  const int64_t first = kvHead * shape_.result.rowsPerKvHead();
  store(piece, first + begin, first + end, attention);
}

/** The rows' bits for the keys of a tile, null when every row sees all. */
template <class PositionOf>
const uint64_t *DecodeJob::maskTile(int64_t begin, int64_t end, int count, const Visibility &visibility,
                                    Attention &attention, PositionOf positionOf) const {
  if (positionOf(count - 1) < visibility.commonEnd(token(begin))) return nullptr;
  uint64_t *masks = attention.masks();
  for (int64_t row = begin; row < end; row++) {
    uint64_t &mask = masks[row - begin];
    if (row > begin && token(row) == token(row - 1)) {
      mask = masks[row - begin - 1];
      continue;
    }
    mask = 0;
    for (int j = 0; j < count; j++)
      mask |= static_cast<uint64_t>(visibility.sees(token(row), positionOf(j))) << j;
  }
  return masks;
}

void DecodeJob::expectFirstTile(const Piece &piece, int64_t kvHead, Attention &attention) const {
  if (piece.beginPage >= piece.endPage) return;
  const int64_t id = pages(piece)[piece.beginPage];
  if (!cache_.hasPage(id)) return;
  const int64_t left = std::min(piece.length - piece.beginPage * problem_.cache.page_size, problem_.cache.page_size);
  attention.expect(keys() + cache_.tokenAt(id, 0, kvHead), cache_.tokenBytes(),
                   static_cast<int>(std::min<int64_t>(left, TILE_KEYS)), scalesOf(id, 0));
}

/** Tiles that lie in pages of at least their size. */
void DecodeJob::attendInPlace(const Piece &piece, int64_t kvHead, int64_t begin, int64_t end,
                              const Visibility &visibility, Attention &attention) const {
  const int64_t pageSize = problem_.cache.page_size;
  const int64_t lastKey = visibility.end(token(end - 1));
  for (int64_t page = piece.beginPage; page < piece.endPage; page++) {
    const int64_t id = pages(piece)[page];
    const int64_t first = page * pageSize;
    const int64_t count = std::min(lastKey - first, pageSize);
    if (count <= 0) break;
    if (!cache_.hasPage(id)) continue;
    for (int64_t offset = 0; offset < count; offset += TILE_KEYS) {
      const int tile = static_cast<int>(std::min<int64_t>(count - offset, TILE_KEYS));
      const uint64_t *visible =
          maskTile(begin, end, tile, visibility, attention, [&](int j) { return first + offset + j; });
      attention.addTile(keys() + cache_.tokenAt(id, offset, kvHead), cache_.tokenBytes(), tile, visible,
                        scalesOf(id, offset));
    }
  }
}

/** Tiles that are gathered, from as many pages as it takes to fill one. */
void DecodeJob::attendGathered(const Piece &piece, int64_t kvHead, int64_t begin, int64_t end,
                               const Visibility &visibility, Attention &attention) const {
  const int64_t pageSize = problem_.cache.page_size;
  const int64_t lastKey = visibility.end(token(end - 1));
  const KeySource source{problem_.cache.format};
  int64_t positions[TILE_KEYS];
  const auto close = [&] {
    if (attention.openTokens() == 0) return;
    attention.closeTile(maskTile(begin, end, attention.openTokens(), visibility, attention,
                                 [&](int j) { return positions[j]; }));
  };
  for (int64_t page = piece.beginPage; page < piece.endPage; page++) {
    const int64_t id = pages(piece)[page];
    const int64_t first = page * pageSize;
    const int64_t count = std::min(lastKey - first, pageSize);
    if (count <= 0) break;
    if (!cache_.hasPage(id)) continue;
    const std::byte *token = keys() + cache_.tokenAt(id, 0, kvHead);
    const std::byte *scales = scalesOf(id, 0);
    for (int64_t offset = 0; offset < count; offset++) {
      positions[attention.openTokens()] = first + offset;
      if (attention.addToken(source, token, scales)) close();
      token += cache_.tokenBytes();
      if (scales != nullptr) scales += PagedCache::SCALES_584;
    }
  }
  close();
}

class DecodePlan : public Plan {
public:
  DecodePlan(const Kernels &kernels, const pmla_decode_problem &problem)
      : kernels_(kernels), problem_(problem), shape_(kernels, problem) {}

  pmla_choice choose(const pmla_load &load) const override { return shape_.costs.choose(load); }

  std::shared_ptr<const Job> launch(const void *args) const override {
    return std::make_shared<DecodeJob>(kernels_, problem_, shape_,
                                       *static_cast<const pmla_decode_args *>(args));
  }

  std::shared_ptr<const Job> schedule(const pmla_schedule_args &args) const override {
    return scheduleJob(Lengths(problem_, args.lengths), args, shape_.costs.maxPartitions());
  }

private:
  const Kernels &kernels_;
  const pmla_decode_problem problem_;
  const DecodeShape shape_;
};

} // namespace

OpFit fitDecode(const Kernels &kernels, const pmla_decode_problem &problem) {
  return DecodeShape(kernels, problem).fit(kernels);
}

std::unique_ptr<Plan> makeDecodePlan(const Kernels &kernels, const pmla_decode_problem &problem) {
  return std::make_unique<DecodePlan>(kernels, problem);
}

} // namespace polymla::cpu
