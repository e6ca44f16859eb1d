#pragma once

#include "../kernels/kernels.h"
#include "../runtime/job.h"
#include "paged-cache.h"
#include "split-work.h"

namespace polymla::cpu {

/**
 * Rows of a request's results: [headsKv, queryTokens, heads / headsKv], so that the rows of one KV head are
 * neighbours, as they are where they are computed.
 */
struct ResultShape {
  int64_t queryTokens;
  int64_t heads;
  int64_t headsKv;
  int64_t valueDim;
  uint32_t outDtype;

  int64_t group() const { return heads / headsKv; }
  int64_t rowsPerKvHead() const { return queryTokens * group(); }
  int64_t rows() const { return queryTokens * heads; }
};

/** Where a launch puts results: in its outputs, or first in the workspace as partial states. */
class SplitResults {
public:
  /** Bytes for the partial states of that many pieces. */
  static double workspaceBytes(const ResultShape &shape, double places) {
    return places * static_cast<double>(shape.rows()) * static_cast<double>(shape.valueDim + 1) *
           sizeof(float);
  }

  /** @param factor of the outs, once they are whole. `lse` and `sink` may be null. */
  SplitResults(const Kernels &kernels, const ResultShape &shape, int64_t places, void *workspace, void *out,
               float *lse, const float *sink, double factor)
      : kernels_(kernels), shape_(shape), places_(places), workspace_(static_cast<float *>(workspace)),
        out_(static_cast<std::byte *>(out)), lses_(lse), sink_(sink), factor_(factor) {}

  /** Partial state of a row at a place: `valueDim` numbers, rows follow each other; and lse, likewise. */
  float *partialOut(int64_t place, int64_t row) const {
    return workspace_ + (place * shape_.rows() + row) * shape_.valueDim;
  }
  float *partialLse(int64_t place, int64_t row) const {
    return workspace_ + places_ * shape_.rows() * shape_.valueDim + place * shape_.rows() + row;
  }

  /** Writes what a row's whole request gave. Changes `values`; lse is NOTHING_SEEN for a row that saw nothing. */
  void write(int64_t request, int64_t row, float *values, double lse) const;

  /** Units that combine the pieces of split requests, blocks of rows of one request each. */
  int64_t combineUnits(const SplitWork &work) const;
  void combine(const SplitWork &work, int64_t unit, Scratch scratch) const;

private:
  const Kernels &kernels_;
  ResultShape shape_;
  int64_t places_;
  float *workspace_;
  std::byte *out_;
  float *lses_;
  const float *sink_;
  double factor_;
};

} // namespace polymla::cpu
