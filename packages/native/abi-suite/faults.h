#pragma once

#include <cstddef>

namespace polymla::suite {

/**
 * Memory that nothing may touch, and what it borders on: where a library does, the process ends by the signal that it would
 * have ended by, but says first what was touched and how far off, and the work that was under way.
 */
class Fence {
public:
  /** Takes whole pages away. `edge`: where the memory that may be touched begins or ends; nullptr: none of it may. */
  Fence(void *begin, size_t bytes, const char *what, const void *edge);
  /** Gives them back. */
  ~Fence();
  Fence(const Fence &) = delete;
  static size_t pageBytes();

private:
  void *const begin_;
  const size_t bytes_;
  int slot_;
};

/** From now on a SIGSEGV or SIGBUS is told on descriptor 3, as a line {"note": …}, before it ends the process. */
void tellFaults();

/** What is under way, for that note; nullptr: nothing with a name. The text must outlive it. */
void setUnderWay(const char *name);

} // namespace polymla::suite
