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

/** What a piece takes from memory, as it is there: nothing waits for it before it is used. */
struct PieceSource {
  int length;
  int firstSplit;
  int endSplit;
};

template <class T>
__device__ __forceinline__ PieceSource pieceSource(const DecodeParams<T>& params, int request) {
  return {params.lengths[request], params.numSplits[request], params.numSplits[request + 1]};
}

template <class T>
__device__ __forceinline__ Piece pieceOf(const DecodeParams<T>& params, const ScheduleRow& row, int request, const PieceSource& source) {
  const bool first = request == row.beginRequest;
  const bool last = request == row.endRequest;
  Piece piece;
  piece.request = request;
  piece.length = params.lengthFrom(source.length);
  piece.beginPage = first ? row.beginPage : 0;
  piece.endPage = last ? row.endPage : params.pagesOf(piece.length);
  piece.firstSplit = source.firstSplit;
  piece.splits = source.endSplit - source.firstSplit;
  piece.split = first ? row.beginSplit : 0;
  piece.isSplit = first ? row.firstIsSplit != 0 : last && row.lastIsSplit != 0;
  return piece;
}

template <class T>
__device__ __forceinline__ Piece pieceOf(const DecodeParams<T>& params, const ScheduleRow& row, int request) {
  return pieceOf(params, row, request, pieceSource(params, request));
}

/** Calls `body(piece)` for each piece of the row, in order, having requested the next one's data ahead. */
template <class T, class Body>
__device__ __forceinline__ void forEachPiece(const DecodeParams<T>& params, const ScheduleRow& row, Body&& body) {
  PieceSource next = pieceSource(params, row.beginRequest);
#pragma unroll 1
  for (int request = row.beginRequest; request <= row.endRequest; request++) {
    const Piece piece = pieceOf(params, row, request, next);
    next = pieceSource(params, min(request + 1, row.endRequest));
    body(piece);
  }
}

/** Calls `body(piece)` for the row's pieces that are splits: the first and the last one can be. */
template <class T, class Body>
__device__ __forceinline__ void forEachSplit(const DecodeParams<T>& params, const ScheduleRow& row, Body&& body) {
  const int count = row.beginRequest == row.endRequest ? 1 : 2;
#pragma unroll 1
  for (int index = 0; index < count; index++) {
    if (index == 0 ? row.firstIsSplit : row.lastIsSplit) {
      body(pieceOf(params, row, index == 0 ? row.beginRequest : row.endRequest));
    }
  }
}

}  // namespace polymla
