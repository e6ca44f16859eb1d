// Over a fork of FlashMLA's first release (mock/lineage.h): compiled with FORK_METAX for MetaX, else for Moore Threads.
#include "lineage-call.h"

PMLA_ELF_NOTE;

namespace {

#if defined(FORK_METAX)
constexpr lineage::Limits LIMITS = lineage::METAX;
constexpr const char *NAME = "metax-mock";
#else
constexpr lineage::Limits LIMITS = lineage::MOORE_THREADS;
constexpr const char *NAME = "musa-mock";
#endif

class Plan {
public:
  static constexpr bool FP8 = false;
  explicit Plan(const port::Decode &problem) : problem_(problem), numSplits_(size_t(problem.max_batch) + 1) {}

  static const char *whyNot(const port::Decode &p) {
    if (p.cache.format == PMLA_KV_F16 && !LIMITS.fp16) return "cache.format: this fork is built for bf16 alone";
    const int64_t page = p.cache.page_size;
    if (LIMITS.pageSize != 0 && page != LIMITS.pageSize) return "page_size: this fork has pages of 64 tokens alone";
    if ((page & (page - 1)) != 0) return "page_size: this fork has powers of two alone";
    return nullptr;
  }

  static uint64_t workspaceBytes(const port::Decode &p) { return port::lineageBytes(p); }

  pmla_status launch(const pmla_decode_args &args, pmla_error *) {
    lineage::ForwardParams forward = port::lineageCall(problem_, args);
    // Forks disagree about what the metadata means and when it is stale: made anew each time, it cannot be.
    int metadata[8] = {};
    lineage::getMetadata(args.seqlens, int(args.batch), metadata, numSplits_.data());
    forward.tileSchedulerMetadata = metadata;
    forward.numSplits = numSplits_.data();
    lineage::forward(forward);
    return PMLA_OK;
  }

private:
  const port::Decode problem_;
  std::vector<int> numSplits_;
};

const pmla_library table = [] {
  port::description = {LIMITS.name, LIMITS.arch};
  return port::tableOf<Plan>(NAME);
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
