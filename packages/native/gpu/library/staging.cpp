#include "staging.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "failure-of.h"

namespace polymla {
namespace {

constexpr size_t smallestBlock = size_t{1} << 16;
constexpr size_t largestBlock = size_t{4} << 20;

/** Calls `copy(offset, count)` for pieces that fit into a block. */
template <class Copy>
void inPieces(size_t bytes, Copy&& copy) {
  for (size_t at = 0; at < bytes; at += largestBlock) copy(at, std::min(bytes - at, largestBlock));
}

}  // namespace

struct Staging::Block {
  explicit Block(size_t bytes) : bytes(bytes) {
    requireRuntime(rt::allocateHost(reinterpret_cast<void**>(&memory), bytes), "allocateHost");
    if (const rt::Error code = PMLA_RT(EventCreateWithFlags)(&copied, PMLA_RT(EventDisableTiming)); code != PMLA_RT(Success)) {
      rt::freeHost(memory);
      throw failureOf(code, "PMLA_RT(EventCreateWithFlags)");
    }
  }
  Block(const Block&) = delete;
  ~Block() {
    static_cast<void>(PMLA_RT(EventDestroy)(copied));
    rt::freeHost(memory);
  }

  const size_t bytes;
  std::byte* memory = nullptr;
  rt::Event copied = nullptr;
};

/** A download under way. */
struct Staging::Arrival {
  /** Runs on a thread of the driver, in the order of the stream; calls nothing of CUDA. */
  static void run(void* data) {
    const std::unique_ptr<Arrival> arrival(static_cast<Arrival*>(data));
    std::memcpy(arrival->target, arrival->block->memory, arrival->bytes);
    arrival->staging.give(std::move(arrival->block));
  }

  Staging& staging;
  std::unique_ptr<Block> block;
  void* const target;
  const size_t bytes;
};

Staging::Staging() = default;
Staging::~Staging() = default;

std::unique_ptr<Staging::Block> Staging::take(size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto done = std::partition(uploading_.begin(), uploading_.end(),
                                     [](const auto& block) { return PMLA_RT(EventQuery)(block->copied) == PMLA_RT(ErrorNotReady); });
    std::move(done, uploading_.end(), std::back_inserter(free_));
    uploading_.erase(done, uploading_.end());
    const auto fits = std::find_if(free_.begin(), free_.end(), [&](const auto& block) { return block->bytes >= bytes; });
    if (fits != free_.end()) {
      std::unique_ptr<Block> block = std::move(*fits);
      free_.erase(fits);
      return block;
    }
    // So that giving a block back, which must not fail, takes no memory.
    free_.reserve(++made_);
  }
  return std::make_unique<Block>(std::max(std::bit_ceil(bytes), smallestBlock));
}

void Staging::give(std::unique_ptr<Block> block) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(block));
}

void Staging::upload(rt::Stream stream, void* target, const void* source, size_t bytes) {
  inPieces(bytes, [&](size_t at, size_t count) {
    std::unique_ptr<Block> block = take(count);
    std::memcpy(block->memory, static_cast<const std::byte*>(source) + at, count);
    POLYMLA_REQUIRE(PMLA_RT(MemcpyAsync)(static_cast<std::byte*>(target) + at, block->memory, count, PMLA_RT(MemcpyHostToDevice), stream));
    POLYMLA_REQUIRE(PMLA_RT(EventRecord)(block->copied, stream));
    const std::lock_guard lock(mutex_);
    uploading_.push_back(std::move(block));
  });
}

void Staging::download(rt::Stream stream, void* target, const void* source, size_t bytes) {
  inPieces(bytes, [&](size_t at, size_t count) {
    std::unique_ptr<Arrival> arrival(new Arrival{*this, take(count), static_cast<std::byte*>(target) + at, count});
    POLYMLA_REQUIRE(PMLA_RT(MemcpyAsync)(arrival->block->memory, static_cast<const std::byte*>(source) + at, count,
                                    PMLA_RT(MemcpyDeviceToHost), stream));
    requireRuntime(rt::callOnHost(stream, Arrival::run, arrival.get()), "callOnHost");
    arrival.release();
  });
}

}  // namespace polymla
