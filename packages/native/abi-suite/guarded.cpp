#include "guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "outcome.h"

namespace polymla::suite {

Guarded::Guarded(size_t bytes) : bytes_(bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  mapped_ = (bytes + page - 1) / page * page + page;
  void *map = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw Failed{"the suite itself is out of memory"};
  map_ = static_cast<unsigned char *>(map);
  mprotect(map_ + mapped_ - page, page, PROT_NONE);
  data_ = map_ + mapped_ - page - bytes;
}

Guarded::~Guarded() { munmap(map_, mapped_); }

void Guarded::seal() const { mprotect(map_, mapped_, PROT_NONE); }

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
