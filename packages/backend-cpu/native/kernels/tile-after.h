#pragma once

#include "kernels.h"

namespace polymla::cpu {
namespace {

/** What is to be fetched while tile `index` is worked on: the one after it, or itself again where no other is known. */
inline const KeyTile &tileAfter(const KeyTile *tiles, int count, int index, const KeyTile *next) {
  if (index + 1 < count) return tiles[index + 1];
  return next != nullptr ? *next : tiles[index];
}

} // namespace
} // namespace polymla::cpu
