// Over Moore Threads' mate (mock/mate.h), by its call without metadata: queries and cache are views with strides, so that nothing
// is copied where a request's tokens follow each other as its heads do; lse is put into the ABI's order afterwards.
#include "lineage-call.h"
#include "mock/mate.h"

PMLA_ELF_NOTE;

namespace {

class Plan {
public:
  static constexpr bool FP8 = false;
  explicit Plan(const port::Decode &problem) : problem_(problem) {}

  static const char *whyNot(const port::Decode &p) {
    return p.cache.page_size != 64 ? "page_size: pages of 64 tokens alone" : nullptr;
  }

  static uint64_t workspaceBytes(const port::Decode &p) { return port::lineageBytes(p); }

  pmla_status launch(const pmla_decode_args &args, pmla_error *error) {
    const auto &p = problem_;
    if (args.batch == 0) return PMLA_OK;
    auto *scratch = static_cast<char *>(args.workspace);
    auto *lse = reinterpret_cast<float *>(scratch + port::qBytes(p));
    const auto *q = static_cast<const uint16_t *>(args.q);
    int64_t batchStride = args.q_strides[0], rowStride = args.q_strides[2];
    if (p.query_tokens > 1 && args.q_strides[1] != p.heads * rowStride) {
      port::packQ(p, args, scratch);
      q = reinterpret_cast<const uint16_t *>(scratch);
      rowStride = 576;
      batchStride = p.query_tokens * p.heads * rowStride;
    }
    const auto *cache = static_cast<const uint16_t *>(args.cache);
    mate::Mla call{};
    call.type = port::typeOf(p);
    call.batch = int(args.batch);
    call.queryTokens = int(p.query_tokens);
    call.heads = int(p.heads);
    call.pageSize = int(p.cache.page_size);
    call.pageTableWidth = int(p.block_table_width);
    call.pages = p.cache.pages;
    call.causal = p.mask == PMLA_MASK_CAUSAL;
    call.softmaxScale = float(p.softmax_scale);
    call.qNope = q;
    call.qPe = q + 512;
    call.qStrideBatch = batchStride;
    call.qStrideRow = rowStride;
    call.ckv = cache;
    call.kpe = cache + 512;
    call.kvStridePage = p.cache.page_stride;
    call.kvStrideToken = 576;
    call.pageTable = args.block_table;
    call.kvLen = args.seqlens;
    call.out = args.out;
    call.lse = lse;
    if (!mate::mla(call)) return port::fail(error, PMLA_INTERNAL, "mate refused a call that fit had promised");
    if (args.lse != nullptr) turnLse(lse, args);
    return PMLA_OK;
  }

private:
  /** From [batch, tokens, heads] to [batch, heads, tokens]. On a GPU that is a kernel in the stream. */
  void turnLse(const float *from, const pmla_decode_args &args) const {
    const int64_t tokens = problem_.query_tokens, heads = problem_.heads;
    for (int64_t b = 0; b < args.batch; b++) {
      for (int64_t s = 0; s < tokens; s++) {
        for (int64_t h = 0; h < heads; h++) args.lse[(b * heads + h) * tokens + s] = *from++;
      }
    }
  }

  const port::Decode problem_;
};

const pmla_library table = [] {
  port::description = {"Moore Threads, mate mocked", "mp_31"};
  return port::tableOf<Plan>("mate-mock");
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
