#include "copy-pages.h"

#include <cstring>

#include "paged-cache.h"

namespace polymla::cpu {
namespace {

/** A unit is a pair. */
class CopyPagesJob : public Job {
public:
  CopyPagesJob(const pmla_copy_pages_problem &problem, const pmla_copy_pages_args &args)
      : cache_(problem.cache), args_(args) {}

  int phases() const override { return 1; }
  int64_t units(int) const override { return args_.pairs; }

  void run(int, int64_t unit, Scratch) const override {
    const int64_t from = args_.pages[2 * unit];
    const int64_t to = args_.pages[2 * unit + 1];
    if (!cache_.hasPage(from) || !cache_.hasPage(to)) return;
    auto *memory = static_cast<std::byte *>(args_.cache);
    const auto bytes = static_cast<size_t>(cache_.pageBytes());
    // The ids are unchecked: they may be the same.
    std::memmove(memory + cache_.pageAt(to), memory + cache_.pageAt(from), bytes);
  }

private:
  const PagedCache cache_;
  const pmla_copy_pages_args args_;
};

class CopyPagesPlan : public Plan {
public:
  explicit CopyPagesPlan(const pmla_copy_pages_problem &problem) : problem_(problem) {}

  std::shared_ptr<const Job> launch(const void *args) const override {
    return std::make_shared<CopyPagesJob>(problem_, *static_cast<const pmla_copy_pages_args *>(args));
  }

private:
  const pmla_copy_pages_problem problem_;
};

} // namespace

OpFit fitCopyPages() {
  OpFit fit;
  fit.grade = PMLA_FIT_CORRECT;
  return fit;
}

std::unique_ptr<Plan> makeCopyPagesPlan(const pmla_copy_pages_problem &problem) {
  return std::make_unique<CopyPagesPlan>(problem);
}

} // namespace polymla::cpu
