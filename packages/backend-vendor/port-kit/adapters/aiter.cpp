// Over AITER's MLA decode (mock/aiter.h): the block table becomes ragged lists of token slots. Here a launch makes them; on a
// GPU a small kernel does, in the same stream, so that the host waits for nothing and a graph replays it with the rest.
#include "decode-port.h"
#include "mock/aiter.h"

PMLA_ELF_NOTE;

namespace {

class Plan {
public:
  static constexpr bool FP8 = false;
  explicit Plan(const port::Decode &problem) : problem_(problem) {}

  static const char *whyNot(const port::Decode &p) {
    if (p.cache.format != PMLA_KV_BF16) return "cache.format: bf16 alone is adapted";
    if (!aiter::hasKernel(int(p.heads))) return "heads: there are kernels for 16 and 128 alone";
    // Slots are counted in tokens, so pages must follow each other without a gap.
    if (p.cache.page_stride != p.cache.page_size * 576) return "page_stride: pages without gaps alone";
    if (p.cache.pages * p.cache.page_size > INT32_MAX) return "cache: AITER counts slots in 32 bits";
    return nullptr;
  }

  static uint64_t workspaceBytes(const port::Decode &p) { return port::qBytes(p); }

  pmla_status launch(const pmla_decode_args &args, pmla_error *) {
    const auto &p = problem_;
    port::packQ(p, args, args.workspace);
    std::vector<int> indptr{0}, indices;
    const int64_t most = p.block_table_width * p.cache.page_size;
    for (int64_t b = 0; b < args.batch; b++) {
      const int64_t length = args.seqlens[b] < 0 ? 0 : args.seqlens[b] < most ? args.seqlens[b] : most;
      for (int64_t j = 0; j < length; j++) {
        const int64_t page = args.block_table[b * p.block_table_width + j / p.cache.page_size];
        const bool exists = page >= 0 && page < p.cache.pages;
        indices.push_back(exists ? int(page * p.cache.page_size + j % p.cache.page_size) : -1);
      }
      indptr.push_back(int(indices.size()));
    }
    std::vector<float> unwanted(args.lse != nullptr ? 0 : size_t(args.batch * p.query_tokens * p.heads));
    float *lse = args.lse != nullptr ? args.lse : unwanted.data();
    aiter::mlaDecodeForward(args.workspace, args.cache, args.out, lse, indptr.data(), indices.data(), int(args.batch),
                            int(p.query_tokens), int(p.heads), p.cache.pages * p.cache.page_size,
                            float(p.softmax_scale), p.mask == PMLA_MASK_CAUSAL);
    return PMLA_OK;
  }

private:
  const port::Decode problem_;
};

const pmla_library table = [] {
  port::description = {"AMD by AITER, mocked", "gfx942"};
  return port::tableOf<Plan>("aiter-mock");
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
