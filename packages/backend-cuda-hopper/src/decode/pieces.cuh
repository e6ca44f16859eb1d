#pragma once
#include "params.h"

namespace polymla {

/** One partition's share of one request. */
struct Piece {
  int request;
  int length;
  int beginPage;
  int endPage;
  int firstSplit;  ///< the request's first one, among the splits of the whole batch
  int splits;      ///< of the request
  int split;       ///< this piece's, among the request's
  bool isSplit;    ///< the request has other splits: results go to scratch

  __device__ __forceinline__ int slot() const { return firstSplit + split; }
};

/** Calls `body(piece)` for each piece of the row, in order. */
template <class T, class Body>
__device__ __forceinline__ void forEachPiece(const DecodeParams<T>& params, const ScheduleRow& row, Body&& body) {
  int length = params.lengths[row.beginRequest];
  int firstSplit = params.numSplits[row.beginRequest];
  int nextSplit = params.numSplits[row.beginRequest + 1];
  for (int request = row.beginRequest; request <= row.endRequest; request++) {
    const bool first = request == row.beginRequest;
    const bool last = request == row.endRequest;
    Piece piece;
    piece.request = request;
    piece.length = length;
    piece.beginPage = first ? row.beginPage : 0;
    piece.endPage = last ? row.endPage : (length + pageTokens - 1) / pageTokens;
    piece.firstSplit = firstSplit;
    piece.splits = nextSplit - firstSplit;
    piece.split = first ? row.beginSplit : 0;
    piece.isSplit = first ? row.firstIsSplit != 0 : last && row.lastIsSplit != 0;
    // Ahead of the body, which hides the latency.
    if (!last) {
      length = params.lengths[request + 1];
      firstSplit = nextSplit;
      nextSplit = params.numSplits[request + 2];
    }
    body(piece);
  }
}

}  // namespace polymla
