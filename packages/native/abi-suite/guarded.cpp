#include "guarded.h"

#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>

#include "outcome.h"

namespace polymla::suite {

Guarded::Guarded(size_t bytes) : bytes_(bytes) {
  const size_t page = Fence::pageBytes();
  mapped_ = (bytes + page - 1) / page * page + page;
  void *map = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw Failed{"the suite itself is out of memory"};
  map_ = static_cast<unsigned char *>(map);
  data_ = map_ + mapped_ - page - bytes;
  fence_ = std::make_unique<Fence>(map_ + mapped_ - page, page, "a struct", map_ + mapped_ - page);
}

Guarded::~Guarded() {
  sealed_ = nullptr;
  fence_ = nullptr;
  munmap(map_, mapped_);
}

void Guarded::seal() {
  const size_t bytes = mapped_ - Fence::pageBytes();
  if (bytes > 0) sealed_ = std::make_unique<Fence>(map_, bytes, "a struct after the call that it was for", nullptr);
}

bool isHostMemory(const void *address) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == nullptr) return false;
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool found = false;
  char line[512];
  while (!found && fgets(line, sizeof line, maps) != nullptr) {
    uintptr_t begin = 0, end = 0;
    char rights[5] = "";
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, rights) != 3) continue;
    found = wanted >= begin && wanted < end && rights[0] == 'r' && rights[1] == 'w';
  }
  fclose(maps);
  return found;
}

} // namespace polymla::suite
