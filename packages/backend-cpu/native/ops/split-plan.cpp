#include "split-plan.h"

#include "combine.h"

namespace polymla::cpu {

SplitShape::SplitShape(const Kernels &kernels, const AttentionShape &attention, const ResultShape &result,
                       int64_t blocks, int64_t pageTokens, double maxBatch, double maxPages,
                       int64_t splitPages)
    : attention(attention), result(result), blocks(blocks), pageTokens(pageTokens), splitPages(splitPages),
      costs(blocks, attention.rows, pageTokens),
      places(mostPlaces(maxBatch, maxPages, static_cast<double>(splitPages),
                        static_cast<double>(costs.maxPartitions()))),
      scratchBytes(std::max(Attention::scratchBytes(kernels, attention),
                            static_cast<size_t>(result.valueDim) * sizeof(float))) {}

OpFit SplitShape::fit(const Kernels &kernels) const {
  const double workspace = SplitResults::workspaceBytes(result, places);
  OpFit fit;
  if (workspace > 0x1p53) {
    fit.why = "query_tokens times heads is " + std::to_string(result.rows()) +
              "; partial results of so many rows exceed 2^53 bytes";
    return fit;
  }
  fit.grade = attentionGrade(kernels);
  fit.workspaceBytes = static_cast<uint64_t>(workspace);
  fit.maxPartitions = costs.maxPartitions();
  fit.fixedOverhead = costs.fixedOverhead();
  fit.schedules = true;
  fit.scratchBytes = scratchBytes;
  return fit;
}

int64_t SplitJob::units(int phase) const {
  return phase == 0 ? work_.busyPartitions() * shape_.blocks : results_.combineUnits(work_);
}

void SplitJob::runBefore(int phase, int64_t unit, int64_t next, Scratch scratch) const {
  if (phase == 1) return results_.combine(work_, unit, scratch);
  Attention attention(kernels_, shape_.attention, scratch);
  const int64_t block = unit % shape_.blocks;
  std::optional<Piece> held;
  work_.forEachPiece(unit / shape_.blocks, [&](const Piece &piece) {
    const Upcoming upcoming{piece, block};
    if (held) attend(*held, block, &upcoming, attention);
    held = piece;
  });
  if (!held) return;
  const std::optional<Upcoming> upcoming = firstOf(next);
  attend(*held, block, upcoming ? &*upcoming : nullptr, attention);
}

std::optional<Upcoming> SplitJob::firstOf(int64_t unit) const {
  std::optional<Upcoming> first;
  if (unit < 0) return first;
  work_.forEachPiece(unit / shape_.blocks, [&](const Piece &piece) {
    if (!first) first = {piece, unit % shape_.blocks};
  });
  return first;
}

void SplitJob::store(const Piece &piece, int64_t begin, int64_t end, Attention &attention) const {
  if (piece.place >= 0) {
    attention.finish(results_.partialOut(piece.place, begin), results_.partialLse(piece.place, begin),
                     nullptr);
    return;
  }
  float *outs = attention.outRows();
  float *lses = attention.lseRows();
  attention.finish(outs, lses, nullptr);
  for (int64_t row = begin; row < end; row++) {
    results_.write(piece.request, row, outs + (row - begin) * shape_.result.valueDim,
                   innerLse(lses[row - begin]));
  }
}

} // namespace polymla::cpu
