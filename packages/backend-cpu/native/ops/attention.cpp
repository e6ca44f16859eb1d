#include "attention.h"

#include <algorithm>
#include <cstring>

namespace polymla::cpu {
namespace {

/** Tiles of one call of the kernel, so that it can fetch ahead. */
constexpr int TILES_PER_CALL = 32;

int64_t itemBytes(Compute compute) { return compute == Compute::F32 ? 4 : 2; }

/** Deals out a unit's memory in parts of whole cache lines; without memory it only counts. */
class Dealer {
public:
  explicit Dealer(std::byte *memory) : memory_(memory) {}

  template <class T> T *take(size_t count) {
    std::byte *part = memory_ == nullptr ? nullptr : memory_ + bytes;
    bytes += (count * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T *>(part);
  }

  size_t bytes = 0;

private:
  std::byte *memory_;
};

} // namespace

int attentionGrade(const Kernels &kernels) {
  return std::strcmp(kernels.name, "scalar") == 0 ? PMLA_FIT_CORRECT : PMLA_FIT_TUNED;
}

size_t Attention::scratchBytes(const Kernels &kernels, const AttentionShape &shape) {
  return Attention(kernels, shape, {nullptr, 0}).bytes_;
}

Attention::Attention(const Kernels &kernels, const AttentionShape &shape, Scratch scratch)
    : kernels_(kernels), shape_(shape) {
  const auto rows = static_cast<size_t>(shape_.rows);
  Dealer dealer(scratch.memory);
  state_ = dealer.take<std::byte>(
      kernels_.stateBytes(shape_.rows, shape_.headDim, shape_.valueDim, shape_.compute));
  outs_ = dealer.take<float>(rows * static_cast<size_t>(shape_.valueDim));
  lses_ = dealer.take<float>(rows);
  queryRows_ = dealer.take<const void *>(rows);
  gathered_ =
      dealer.take<std::byte>(static_cast<size_t>(TILE_KEYS * shape_.headDim * itemBytes(shape_.compute)));
  visibleBits_ = dealer.take<uint64_t>((TILES_PER_CALL + 1) * rows);
  tiles_ = dealer.take<KeyTile>(TILES_PER_CALL + 1);
  tokens_ = dealer.take<const std::byte *>(TILE_KEYS);
  tokenScales_ = dealer.take<const std::byte *>(TILE_KEYS);
  bytes_ = dealer.bytes;
}

void Attention::begin(int count, uint32_t dtype, float scale) {
  kernels_.begin(state_, {queryRows_, dtype, count, shape_.headDim, shape_.valueDim, scale}, shape_.compute);
  tileCount_ = tokenCount_ = decoded_ = 0;
  expected_.reset();
}

void Attention::addTile(const std::byte *keys, int64_t stride, int count, const uint64_t *visible,
                        const std::byte *scales) {
  tiles_[tileCount_++] = {keys, stride, count, visible, scales};
  if (tileCount_ <= TILES_PER_CALL) return;
  // The tile just added is only fetched, and the first one of the next call.
  kernels_.attend(state_, tiles_, TILES_PER_CALL, &tiles_[TILES_PER_CALL]);
  tiles_[0] = tiles_[TILES_PER_CALL];
  if (visible != nullptr) {
    tiles_[0].visible = visibleBits_;
    std::copy_n(visible, shape_.rows, visibleBits_);
  }
  tileCount_ = 1;
}

void Attention::closeTile(const uint64_t *visible) {
  if (tokenCount_ == 0) return;
  decode();
  tiles_[tileCount_++] = {gathered_, shape_.headDim * itemBytes(shape_.compute), tokenCount_, visible, nullptr};
  flush();
  tokenCount_ = decoded_ = 0;
}

void Attention::finish(float *out, float *lse, float *maxLogit) {
  flush();
  kernels_.finish(state_, out, shape_.valueDim, lse, maxLogit);
}

void Attention::decode() {
  const int count = tokenCount_ - decoded_;
  if (count == 0) return;
  std::byte *target = gathered_ + decoded_ * shape_.headDim * itemBytes(shape_.compute);
  kernels_.gather({pending_.format, shape_.headDim, count, tokens_ + decoded_, tokenScales_ + decoded_},
                  shape_.compute, target);
  if (pending_.factor != 1) {
    auto *numbers = reinterpret_cast<float *>(target);
    for (int i = 0; i < count * shape_.headDim; i++) numbers[i] *= pending_.factor;
  }
  decoded_ = tokenCount_;
}

void Attention::flush() {
  if (tileCount_ > 0) kernels_.attend(state_, tiles_, tileCount_, expected_ ? &*expected_ : nullptr);
  tileCount_ = 0;
}

} // namespace polymla::cpu
