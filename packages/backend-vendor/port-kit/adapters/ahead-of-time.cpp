// Over a compiler that works ahead of time (mock/ahead-of-time.h): fit asks what it can compile, plan_new compiles, launches
// run the program. The host makes plans once per model, never per step, so compiling is paid once.
#include "decode-port.h"
#include "mock/ahead-of-time.h"

PMLA_ELF_NOTE;

namespace {

aot::Shape shapeOf(const port::Decode &p) {
  return {int(p.query_tokens), int(p.heads), int(p.cache.page_size), p.mask == PMLA_MASK_CAUSAL};
}

class Plan {
public:
  static constexpr bool FP8 = false;
  explicit Plan(const port::Decode &problem) : problem_(problem), program_(aot::compile(shapeOf(problem))) {}

  static const char *whyNot(const port::Decode &p) {
    if (p.cache.format != PMLA_KV_BF16) return "cache.format: bf16 alone is compiled";
    if (!aot::canCompile(shapeOf(p))) return "heads, page_size: multiples of 16 and pages of 64 alone are compiled";
    return nullptr;
  }

  static uint64_t workspaceBytes(const port::Decode &p) { return port::qBytes(p); }

  pmla_status launch(const pmla_decode_args &args, pmla_error *) {
    const auto &p = problem_;
    port::packQ(p, args, args.workspace);
    std::vector<float> unwanted(args.lse != nullptr ? 0 : size_t(args.batch * p.query_tokens * p.heads));
    lineage::ForwardParams params{};
    params.type = lineage::Type::BF16;
    params.batch = int(args.batch);
    params.headDim = 576;
    params.valueDim = 512;
    params.blockTableWidth = int(p.block_table_width);
    params.pages = p.cache.pages;
    params.pageStride = p.cache.page_stride;
    params.softmaxScale = float(p.softmax_scale);
    params.q = args.workspace;
    params.kv = args.cache;
    params.blockTable = args.block_table;
    params.seqlens = args.seqlens;
    params.out = args.out;
    params.lse = args.lse != nullptr ? args.lse : unwanted.data();
    program_->run(params);
    return PMLA_OK;
  }

private:
  const port::Decode problem_;
  const std::shared_ptr<const aot::Program> program_;
};

const pmla_library table = [] {
  port::description = {"Intellifusion, mocked", "edge10"};
  return port::tableOf<Plan>("tyllm-mock");
}();

} // namespace

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  return port::enter(host, &table, library, error);
}
