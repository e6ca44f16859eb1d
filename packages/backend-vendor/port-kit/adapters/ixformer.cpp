// Over Iluvatar's ixformer (mock/ixformer.h), which lacks what others have: lse, pages outside of the cache, empty requests. The
// adapter does that itself, as small kernels in the stream would, and asks the library for nothing that it does not promise.
#include "lineage-call.h"
#include "mock/ixformer.h"

PMLA_ELF_NOTE;

namespace {

class Plan {
public:
  static constexpr bool FP8 = false;
  explicit Plan(const port::Decode &problem) : problem_(problem) {}

  static const char *whyNot(const port::Decode &p) {
    if (p.query_tokens != 1) return "query_tokens: one per request alone";
    return port::whyNotDensePages(p);
  }

  /** q in two parts, a block table without pages that are not there, and lengths that go with it. */
  static uint64_t workspaceBytes(const port::Decode &p) {
    return port::qBytes(p) + uint64_t(p.max_batch) * uint64_t(p.block_table_width + 1) * 4;
  }

  pmla_status launch(const pmla_decode_args &args, pmla_error *error) {
    const auto &p = problem_;
    const int64_t rows = args.batch * p.heads;
    auto *qNope = static_cast<uint16_t *>(args.workspace), *qPe = qNope + rows * 512;
    auto *pages = reinterpret_cast<int *>(static_cast<char *>(args.workspace) + port::qBytes(p));
    int *lengths = pages + args.batch * p.block_table_width;
    for (int64_t b = 0; b < args.batch; b++) {
      lengths[b] = visiblePages(args, b, pages + b * p.block_table_width);
      for (int64_t h = 0; h < p.heads; h++) {
        const int64_t row = b * p.heads + h;
        const auto *q = static_cast<const uint16_t *>(args.q) + b * args.q_strides[0] + h * args.q_strides[2];
        std::memcpy(qNope + row * 512, q, 512 * 2);
        std::memcpy(qPe + row * 64, q + 512, 64 * 2);
        if (lengths[b] == 0) std::memset(static_cast<uint16_t *>(args.out) + row * 512, 0, 512 * 2);
        if (args.lse != nullptr) args.lse[row] = lseOf(q, args.cache, pages + b * p.block_table_width, lengths[b]);
      }
    }
    ixformer::PagedAttentionMla call{};
    call.type = port::typeOf(problem_);
    call.output = args.out;
    call.qNope = qNope;
    call.qPe = qPe;
    call.kvCache = args.cache;
    call.scale = float(p.softmax_scale);
    call.blockTables = pages;
    call.contextLens = lengths;
    // Lengths lie on the device: what a block table can hold is the bound that the host knows.
    call.maxContextLen = int(p.block_table_width * p.cache.page_size);
    call.batch = int(args.batch);
    call.heads = int(p.heads);
    call.pageSize = int(p.cache.page_size);
    call.blockTableWidth = int(p.block_table_width);
    call.pages = p.cache.pages;
    if (ixformer::pagedAttentionMlaFused(call)) return PMLA_OK;
    return port::fail(error, PMLA_INTERNAL, "ixformer refused a call that fit had promised");
  }

private:
  /** The pages of a request that are there, in order, and how many tokens they have: a sum does not care what was between. */
  int visiblePages(const pmla_decode_args &args, int64_t b, int *to) const {
    const auto &p = problem_;
    const int64_t size = p.cache.page_size, length = port::lengthOf(p, args, b);
    int64_t tokens = 0;
    for (int64_t begin = 0; begin < length; begin += size) {
      const int page = port::pageOf(p, args, b, begin);
      if (page < 0) continue;
      *to++ = page;
      tokens += length - begin < size ? length - begin : size;
    }
    return int(tokens);
  }

  float lseOf(const uint16_t *q, const void *cache, const int *pages, int length) const {
    const int size = int(problem_.cache.page_size);
    double largest = -INFINITY, total = 0;
    for (int j = 0; j < length; j++) {
      const int64_t key = (int64_t(pages[j / size]) * size + j % size) * 576;
      double score = 0;
      for (int d = 0; d < 576; d++) {
        score += double(lineage::load(port::typeOf(problem_), q, d)) * double(lineage::load(port::typeOf(problem_), cache, key + d));
      }
      score *= double(float(problem_.softmax_scale));
      const double next = std::fmax(largest, score);
      total = total * std::exp(largest - next) + std::exp(score - next);
      largest = next;
    }
    return float(total > 0 ? largest + std::log(total) : double(INFINITY));
  }

  const port::Decode problem_;
};

const pmla_library table = [] {
  port::description = {"Iluvatar, mocked", "ivcore11"};
  return port::tableOf<Plan>("corex-mock");
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
