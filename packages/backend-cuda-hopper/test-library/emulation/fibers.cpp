#include <ucontext.h>

#include <memory>
#include <vector>

#include "device.h"

namespace polymla::emulation {
namespace {

constexpr size_t stackBytes = 256 << 10;

/** A barrier among threads that have not ended. */
struct Barrier {
  unsigned members = 0;
  unsigned arrived = 0;
  unsigned generation = 0;

  void settle() {
    if (arrived < members) return;
    arrived = 0;
    generation++;
  }
};

struct Warp {
  Barrier barrier;
  alignas(16) std::byte lanes[32][16];
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<std::byte[]> stack;
  bool ended = false;
};

std::vector<Fiber> fibers;
std::vector<Warp> warps;
Barrier block;
unsigned running;
ucontext_t scheduler;
const std::function<void()>* kernelOfBlock;

void yield() { swapcontext(&fibers[running].context, &scheduler); }

void wait(Barrier& barrier) {
  const unsigned mine = barrier.generation;
  barrier.arrived++;
  barrier.settle();
  while (barrier.generation == mine) yield();
}

void leave(Barrier& barrier) {
  barrier.members--;
  if (barrier.members > 0 && barrier.arrived > 0) barrier.settle();
}

void enter() {
  (*kernelOfBlock)();
  fibers[running].ended = true;
  leave(block);
  leave(warps[running / 32].barrier);
}

void runBlock(unsigned threads) {
  if (fibers.size() < threads) fibers.resize(threads);
  warps.assign((threads + 31) / 32, Warp{});
  block = Barrier{threads};
  for (unsigned thread = 0; thread < threads; thread++) {
    Fiber& fiber = fibers[thread];
    if (!fiber.stack) fiber.stack = std::make_unique<std::byte[]>(stackBytes);
    fiber.ended = false;
    warps[thread / 32].barrier.members++;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stackBytes;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (bool busy = true; busy;) {
    busy = false;
    for (running = 0; running < threads; running++) {
      if (fibers[running].ended) continue;
      busy = true;
      threadIdx = dim3(running, 0, 0);
      swapcontext(&scheduler, &fibers[running].context);
    }
  }
}

}  // namespace

void syncBlock() { wait(block); }
void syncWarp() { wait(warps[running / 32].barrier); }
void* laneSlot(unsigned lane) { return warps[running / 32].lanes[lane]; }

void run(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  kernelOfBlock = &kernel;
  gridDim = grid;
  blockDim = block;
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        blockIdx = dim3(x, y, z);
        runBlock(block.x);
      }
    }
  }
}

}  // namespace polymla::emulation
