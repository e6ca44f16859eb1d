#include "faults.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "outcome.h"

namespace polymla::suite {

namespace {

/** Read by a signal handler: no lock, and `begin` is what makes an entry valid. */
struct Entry {
  std::atomic<uintptr_t> begin{0};
  uintptr_t end = 0, edge = 0;
  const char *what = nullptr;
};
Entry entries[256];
std::atomic<const char *> underWay{nullptr};

/** A line of JSON, made of what is safe in a signal handler. */
class Line {
public:
  void add(const char *text) {
    for (; *text != '\0' && length_ + 1 < sizeof text_; text++) {
      // Names are the suite's own; quotes among them would end the string.
      text_[length_++] = *text == '"' || *text == '\\' ? '\'' : *text;
    }
  }
  void raw(const char *text) {
    for (; *text != '\0' && length_ + 1 < sizeof text_; text++) text_[length_++] = *text;
  }
  void number(uintptr_t value, unsigned base) {
    char digits[24];
    size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0 && length_ + 1 < sizeof text_) text_[length_++] = digits[--count];
  }
  void send() const {
    if (write(3, text_, length_) < 0) return;
  }

private:
  char text_[512];
  size_t length_ = 0;
};

void tell(int, siginfo_t *info, void *) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Line line;
  line.raw("{\"note\":\"");
  if (const char *name = underWay.load()) {
    line.add(name);
    line.raw(": ");
  }
  const Entry *hit = nullptr;
  for (const Entry &entry : entries) {
    const uintptr_t begin = entry.begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address < entry.end) hit = &entry;
  }
  if (hit == nullptr) {
    line.raw("address 0x");
    line.number(address, 16);
  } else if (hit->edge == 0) {
    line.add(hit->what);
    line.raw(" was touched");
  } else if (address >= hit->edge) {
    line.raw("byte ");
    line.number(address - hit->edge + 1, 10);
    line.raw(" past the end of ");
    line.add(hit->what);
  } else {
    line.raw("byte ");
    line.number(hit->edge - address, 10);
    line.raw(" before the beginning of ");
    line.add(hit->what);
  }
  line.raw("\"}\n");
  line.send();
  // The handler is gone by now: the same access ends the process.
}

} // namespace

size_t Fence::pageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

Fence::Fence(void *begin, size_t bytes, const char *what, const void *edge) : begin_(begin), bytes_(bytes), slot_(-1) {
  if (mprotect(begin, bytes, PROT_NONE) != 0) throw Failed{"the suite itself cannot protect memory"};
  for (int i = 0; i < 256 && slot_ < 0; i++) {
    Entry &entry = entries[i];
    if (entry.begin.load() != 0) continue;
    entry.end = reinterpret_cast<uintptr_t>(begin) + bytes;
    entry.edge = reinterpret_cast<uintptr_t>(edge);
    entry.what = what;
    entry.begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
    slot_ = i;
  }
}

Fence::~Fence() {
  if (slot_ >= 0) entries[slot_].begin.store(0);
  mprotect(begin_, bytes_, PROT_READ | PROT_WRITE);
}

void tellFaults() {
  struct sigaction action = {};
  action.sa_sigaction = tell;
  action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

void setUnderWay(const char *name) { underWay = name; }

} // namespace polymla::suite
