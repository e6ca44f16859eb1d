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
    if (p.cache.pages * p.cache.page_size > INT32_MAX) return "cache: AITER counts slots in 32 bits";
    return port::whyNotDensePages(p); // slots are counted in tokens
  }

  static uint64_t workspaceBytes(const port::Decode &p) { return port::qBytes(p); }

  pmla_status launch(const pmla_decode_args &args, pmla_error *) {
    const auto &p = problem_;
    port::packQ(p, args, args.workspace);
    std::vector<int> indptr{0}, indices;
    for (int64_t b = 0; b < args.batch; b++) {
      const int64_t length = port::lengthOf(p, args, b);
      for (int64_t j = 0; j < length; j++) {
        const int64_t page = port::pageOf(p, args, b, j);
        indices.push_back(page < 0 ? -1 : int(page * p.cache.page_size + j % p.cache.page_size));
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
