#pragma once

#include <cstddef>
#include <cstdint>

namespace polymla::cpu {

/** A thread's own memory for the length of one unit: allocated when a plan is made, so that launches allocate
 * nothing. */
struct Scratch {
  std::byte *memory; // aligned to 64 bytes
  size_t bytes;
};

/**
 * One launch: phases one after the other, each a number of units that run in any order on any threads. What a
 * unit computes must not depend on the thread, nor on how many there are. A graph runs a job many times, so
 * running leaves it as it was.
 */
class Job {
public:
  virtual ~Job() = default;
  virtual int phases() const = 0;
  /** Asked when the phases before are done, since it may depend on device memory. */
  virtual int64_t units(int phase) const = 0;
  virtual void run(int phase, int64_t unit, Scratch scratch) const = 0;
  /** The same; `next`: the unit that the thread will probably run after it, or −1, whose data may be fetched meanwhile. */
  virtual void runBefore(int phase, int64_t unit, [[maybe_unused]] int64_t next, Scratch scratch) const {
    run(phase, unit, scratch);
  }
};

} // namespace polymla::cpu
