#pragma once
#include <cstddef>
#include <memory>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace polymla::emulator {

/** A thread of execution that runs when it is switched to, and never otherwise. Stays on the thread that made it. */
class Fiber {
public:
  /** The first switch to it calls `entry`, which never returns. */
  explicit Fiber(void (*entry)());
  Fiber(const Fiber &) = delete;
  ~Fiber();

  /** Makes the next switch to it call `entry` again; what it was doing is forgotten. */
  void restart();
  /** From the thread's own stack to the fiber, until it leaves. */
  void enter();
  /** From the fiber back to whoever entered it. */
  void leave();

private:
  static constexpr size_t stackBytes = size_t{256} << 10;
  void (*const entry_)();
  unsigned char *stack_;
#if defined(__x86_64__)
  void *own_ = nullptr;
  void *other_ = nullptr;
#else
  ucontext_t own_;
  ucontext_t other_;
#endif
};

} // namespace polymla::emulator
