#include "threads.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "fiber.h"
#include "insist.h"

namespace polymla::emulator {

thread_local Thread *currentThread __attribute__((tls_model("local-dynamic"))) = nullptr;
Faults faults;
std::vector<Site> *reachedBarriers = nullptr;

namespace {

constexpr int groupLanes = 32;
constexpr size_t guardBytes = 4096;
/** NaN as bf16, fp16 and fp32; no address. */
constexpr unsigned char unwritten = 0xff;

enum class Stop { None, Barrier, Shuffle, End, Trap };

struct Copy {
  void *to;
  const void *from;
  bool present;
};

/** A thread of the block that an OS thread runs. */
struct Lane : Thread {
  explicit Lane(void (*entry)()) : fiber(entry) {}
  Fiber fiber;
  Stop stop = Stop::None;
  Site site{nullptr, 0};
  uint64_t bits = 0;
  int step = 0;
  std::vector<Copy> copies;
  std::vector<size_t> groups; ///< ends of committed groups of copies
};

std::string nameOf(Site site) {
  const char *const slash = std::strrchr(site.file, '/');
  return std::string(slash == nullptr ? site.file : slash + 1) + ":" + std::to_string(site.line);
}

bool isSame(Site a, Site b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

std::string told(const Lane &lane) {
  const std::string who = "thread " + std::to_string(lane.index);
  switch (lane.stop) {
  case Stop::Barrier: return who + " at the barrier of " + nameOf(lane.site);
  case Stop::Shuffle: return who + " at the shuffle of " + nameOf(lane.site);
  default: return who + " at its end";
  }
}

/** What an OS thread runs blocks with. */
class BlockRunner {
public:
  std::string run(const Launch &launch, unsigned block, int wave, const std::function<void()> &kernel);

private:
  static void enterLane();
  void prepare(const Launch &launch, unsigned block);
  std::string runWave(int first, int end);
  std::string checkGuards(const Launch &launch) const;
  bool isReversed() const { return (phase_ + block_ + faults.otherOrder) % 2 != 0; }

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<unsigned char> arena_;
  unsigned char *shared_ = nullptr;
  size_t sharedBytes_ = 0;
  const std::function<void()> *kernel_ = nullptr;
  unsigned phase_ = 0;
  unsigned block_ = 0;
};

thread_local BlockRunner *currentRunner = nullptr;

Lane &lane() { return static_cast<Lane &>(*currentThread); }

/** Gives up the processor until the scheduler has seen to what the lane stands at. */
void stopAt(Stop stop) {
  Lane &self = lane();
  self.stop = stop;
  self.fiber.leave();
}

void BlockRunner::enterLane() {
  (*currentRunner->kernel_)();
  stopAt(Stop::End);
  __builtin_unreachable(); // a lane that has ended is not entered again
}

void BlockRunner::prepare(const Launch &launch, unsigned block) {
  sharedBytes_ = launch.shared - std::min(launch.shared, faults.sharedLack);
  insist([&] { arena_.resize(std::max(arena_.size(), sharedBytes_ + 2 * guardBytes + 128)); });
  const auto begin = reinterpret_cast<uintptr_t>(arena_.data()) + guardBytes;
  shared_ = arena_.data() + guardBytes + (128 - begin % 128) % 128;
  std::memset(shared_ - guardBytes, unwritten, sharedBytes_ + 2 * guardBytes);
  while (lanes_.size() < launch.threads) {
    insist([&] { lanes_.push_back(std::make_unique<Lane>(&enterLane)); });
  }
  for (unsigned i = 0; i < launch.threads; i++) {
    Lane &made = *lanes_[i];
    static_cast<Thread &>(made) = {static_cast<int>(i), static_cast<int>(launch.threads), block, launch.blocks, shared_};
    made.stop = Stop::None;
    made.copies.clear();
    made.groups.clear();
    made.fiber.restart();
  }
  phase_ = 0;
  block_ = block;
}

/** Runs a wave until all of it stands at a barrier or has ended. */
std::string BlockRunner::runWave(int first, int end) {
  for (;;) {
    for (int i = 0; i < end - first; i++) {
      Lane &next = *lanes_[isReversed() ? end - 1 - i : first + i];
      currentThread = &next;
      next.fiber.enter();
      if (next.stop == Stop::Trap) return "code that is not for this device was reached";
    }
    const Lane &one = *lanes_[first];
    for (int i = first + 1; i < end; i++) {
      const Lane &other = *lanes_[i];
      if (other.stop != one.stop || (one.stop == Stop::Shuffle && !(isSame(one.site, other.site) && one.step == other.step))) {
        return "threads of a wave part: " + told(one) + ", " + told(other);
      }
    }
    if (one.stop != Stop::Shuffle) return "";
    uint64_t given[128];
    for (int i = first; i < end; i++) given[i - first] = lanes_[i]->bits;
    for (int i = first; i < end; i++) lanes_[i]->bits = given[(i - first) ^ one.step];
  }
}

std::string BlockRunner::checkGuards(const Launch &launch) const {
  for (size_t i = 0; i < guardBytes; i++) {
    if (shared_[sharedBytes_ + i] != unwritten) {
      return "a write past the end of shared memory, at byte " + std::to_string(sharedBytes_ + i) + " of " +
             std::to_string(launch.shared);
    }
    if (shared_[-1 - static_cast<ptrdiff_t>(i)] != unwritten) return "a write before the beginning of shared memory";
  }
  return "";
}

std::string BlockRunner::run(const Launch &launch, unsigned block, int wave, const std::function<void()> &kernel) {
  currentRunner = this;
  kernel_ = &kernel;
  prepare(launch, block);
  const auto threads = static_cast<int>(launch.threads);
  const int waves = (threads + wave - 1) / wave;
  for (;; phase_++) {
    for (int i = 0; i < waves; i++) {
      const int first = (isReversed() ? waves - 1 - i : i) * wave;
      std::string wrong = runWave(first, std::min(first + wave, threads));
      if (!wrong.empty()) return wrong;
    }
    const Lane &one = *lanes_[0];
    for (int i = 1; i < threads; i++) {
      const Lane &other = *lanes_[i];
      if (other.stop != one.stop || (one.stop == Stop::Barrier && !isSame(one.site, other.site))) {
        return "threads of a block part: " + told(one) + ", " + told(other);
      }
    }
    if (one.stop == Stop::End) return checkGuards(launch);
    if (reachedBarriers != nullptr) reachedBarriers->push_back(one.site);
  }
}

} // namespace

void syncBlock(Site site) {
  if (faults.missing.line == site.line && std::strcmp(faults.missing.file, site.file) == 0) return;
  lane().site = site;
  stopAt(Stop::Barrier);
}

uint64_t shuffleXor(uint64_t bits, int step, Site site) {
  Lane &self = lane();
  if (step < 1 || step >= groupLanes) stopAt(Stop::Trap);
  self.site = site;
  self.bits = bits;
  self.step = step;
  stopAt(Stop::Shuffle);
  return self.bits;
}

void copy16(void *to, const void *from, bool present) {
  insist([&] { lane().copies.push_back({to, from, present}); });
}

void commitCopies() {
  insist([&] { lane().groups.push_back(lane().copies.size()); });
}

void waitCopies(int groups) {
  Lane &self = lane();
  const auto waited = static_cast<ptrdiff_t>(self.groups.size()) - groups;
  if (waited <= 0) return;
  const size_t end = self.groups[static_cast<size_t>(waited) - 1];
  for (size_t i = 0; i < end; i++) {
    const Copy &copy = self.copies[i];
    if (copy.present) std::memcpy(copy.to, copy.from, 16);
    else std::memset(copy.to, 0, 16);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<ptrdiff_t>(end));
  self.groups.erase(self.groups.begin(), self.groups.begin() + waited);
  for (size_t &group : self.groups) group -= end;
}

void trap() {
  for (;;) stopAt(Stop::Trap);
}

std::string runBlock(const Launch &launch, unsigned block, int wave, const std::function<void()> &kernel) {
  thread_local BlockRunner runner;
  return runner.run(launch, block, wave, kernel);
}

} // namespace polymla::emulator
