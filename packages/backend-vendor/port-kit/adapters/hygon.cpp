// Over Hygon's flash_mla (mock/hygon.h): two calls whose metadata are of different kinds, chosen by the cache's format.
#include "lineage-call.h"
#include "mock/hygon.h"

PMLA_ELF_NOTE;

namespace {

class Plan {
public:
  static constexpr bool FP8 = true;
  explicit Plan(const port::Decode &problem) : problem_(problem), numSplits_(size_t(problem.max_batch) + 1) {}

  static const char *whyNot(const port::Decode &p) {
    return p.cache.page_size != 64 ? "page_size: pages of 64 tokens alone" : nullptr;
  }

  static uint64_t workspaceBytes(const port::Decode &p) { return port::lineageBytes(p); }

  pmla_status launch(const pmla_decode_args &args, pmla_error *error) {
    if (args.batch == 0) return PMLA_OK;
    const lineage::ForwardParams forward = port::lineageCall(problem_, args);
    const bool done = forward.type == lineage::Type::E4M3 ? launchFp8(forward) : launch16(forward);
    return done ? PMLA_OK : port::fail(error, PMLA_INTERNAL, "flash_mla refused a call that fit had promised");
  }

private:
  /** An object per launch: one that a step before has filled has that step's lengths, and would keep them. */
  static bool launch16(const lineage::ForwardParams &forward) {
    auto metadata = hygon::getMetadata();
    return hygon::withKvCache(forward, metadata);
  }

  bool launchFp8(lineage::ForwardParams forward) {
    int metadata[8] = {};
    hygon::getMetadataDenseFp8(forward.seqlens, forward.batch, metadata, numSplits_.data());
    forward.tileSchedulerMetadata = metadata;
    forward.numSplits = numSplits_.data();
    return hygon::forwardFp8(forward);
  }

  const port::Decode problem_;
  std::vector<int> numSplits_;
};

const pmla_library table = [] {
  port::description = {"Hygon DCU, mocked", "gfx938"};
  return port::tableOf<Plan>("dcu-mock");
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
