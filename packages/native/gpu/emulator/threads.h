#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/**
 * The threads of a GPU on a CPU. Every thread of a block is a fiber that runs until it reaches a barrier or a shuffle; a
 * hardware wave is `wave` neighbouring threads. What a device might forgive is an error here:
 *
 * - a shuffle that not all threads of a hardware wave reach together, or a barrier that not all threads of a block do;
 * - writes past a block's shared memory, which lies between guards; what was not written is NaN;
 * - a barrier that is missing: from one barrier to the next, threads run one after the other, in an order that changes
 *   from phase to phase, so that who comes first reads what is not there yet or loses what others still need;
 * - a wait for copies that is missing: they land when they are waited for.
 *
 * It says nothing of memory order within a phase, of bank conflicts, of speed.
 */
namespace polymla::emulator {

/** A place in a kernel's source. */
struct Site {
  const char *file;
  int line;
};

/** What a kernel's thread knows of itself. */
struct Thread {
  int index;
  int threads;
  int64_t block;
  int64_t blocks;
  unsigned char *shared;
};

extern thread_local Thread *currentThread __attribute__((tls_model("local-dynamic")));
inline Thread &thread() { return *currentThread; }

void syncBlock(Site site);
/** Among groups of 32 threads. */
uint64_t shuffleXor(uint64_t bits, int step, Site site);
void copy16(void *to, const void *from, bool present);
void commitCopies();
void waitCopies(int groups);
[[noreturn]] void trap();

struct Launch {
  const char *name;
  unsigned blocks;
  unsigned threads;
  size_t shared;
};

/** Runs one block. Returns what is wrong with the kernel; empty when nothing is. */
std::string runBlock(const Launch &launch, unsigned block, int wave, const std::function<void()> &kernel);

/** Bugs that a test puts into kernels. */
struct Faults {
  /** A barrier that is not there. */
  Site missing{nullptr, 0};
  /** Bytes of shared memory that are not there, though they were asked for. */
  size_t sharedLack = 0;
  /** Blocks of a launch at most, so that each does several pieces of work; and whether threads run in the other order. */
  unsigned mostBlocks = UINT32_MAX;
  unsigned otherOrder = 0;
};
extern Faults faults;

/** Barriers that kernels have reached since the list was cleared. By one thread at a time. */
extern std::vector<Site> *reachedBarriers;

} // namespace polymla::emulator
