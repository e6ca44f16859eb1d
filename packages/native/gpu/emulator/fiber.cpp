#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__x86_64__)
// void pmlaSwitch(void **from, void *to): keeps what the calling convention says a call keeps. swapcontext also saves the
// signal mask, by a system call that takes a hundred times as long.
extern "C" void pmlaSwitch(void **from, void *to) __attribute__((visibility("hidden")));
asm(R"(
  .text
  .hidden pmlaSwitch
  .globl pmlaSwitch
  .type pmlaSwitch, @function
pmlaSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size pmlaSwitch, . - pmlaSwitch
)");
#endif

namespace polymla::emulator {

Fiber::Fiber(void (*entry)()) : entry_(entry) {
  void *const memory = mmap(nullptr, stackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<unsigned char *>(memory);
  mprotect(stack_, 4096, PROT_NONE); // a stack that is too small faults instead of writing elsewhere
  restart();
}

Fiber::~Fiber() { munmap(stack_, stackBytes); }

#if defined(__x86_64__)

void Fiber::restart() {
  // As if `entry_` had just been called: its return address, of which there is none, at a multiple of 16 and 8 more.
  auto *top = reinterpret_cast<void **>(stack_ + stackBytes) - 2;
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(entry_);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  own_ = top;
}

void Fiber::enter() { pmlaSwitch(&other_, own_); }
void Fiber::leave() { pmlaSwitch(&own_, other_); }

#else

void Fiber::restart() {
  getcontext(&own_);
  own_.uc_stack.ss_sp = stack_;
  own_.uc_stack.ss_size = stackBytes;
  own_.uc_link = nullptr;
  makecontext(&own_, entry_, 0);
}

void Fiber::enter() { swapcontext(&other_, &own_); }
void Fiber::leave() { swapcontext(&own_, &other_); }

#endif

} // namespace polymla::emulator
