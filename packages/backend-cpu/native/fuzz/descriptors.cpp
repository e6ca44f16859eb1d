// libFuzzer target over what a host hands to a library: problem structs with any bytes in them through fit
// and plan_new, and small problems of decode and sparse decode, launched over blocks of exactly the bytes
// they may touch, with lengths, page ids, indices and numbers of any bytes. Sanitizers see what goes wrong; a
// launch must end well.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "../kernels/kernels.h"
#include "../test/workload.h"

namespace {

using namespace polymla::cpu::test;

const pmla_library *const l = &library();

/** A device of every instruction set that the processor has; the input picks one. */
struct Opened {
  pmla_device device;
  pmla_stream stream;
};
std::vector<Opened> &opened = *new std::vector<Opened>; // never freed, like the devices
pmla_device device = nullptr;
pmla_stream stream = nullptr;

void require(bool condition) {
  if (!condition) abort();
}

/** The input as a source of decisions; zeros when it is used up. */
class Input {
public:
  Input(const uint8_t *data, size_t size) : data_(data), left_(size) {}

  uint8_t byte() {
    if (left_ == 0) return 0;
    left_--;
    return *data_++;
  }
  int64_t upTo(int64_t most) { return byte() % (most + 1); }
  int64_t oneTo(int64_t most) { return 1 + byte() % most; }
  bool chance() { return byte() % 2 == 1; }
  /** Bytes of the input first, then ones made from the last of them. */
  void fill(uint8_t *target, size_t bytes) {
    uint32_t state = 0x9e3779b9u + byte();
    for (size_t i = 0; i < bytes; i++) {
      state = state * 1664525u + 1013904223u;
      target[i] = left_ > 0 ? byte() : static_cast<uint8_t>(state >> 24);
    }
  }

private:
  const uint8_t *data_;
  size_t left_;
};

/** Blocks that end with a problem. */
class Blocks {
public:
  explicit Blocks(Input &input) : input_(input) {}

  template <class T = void> T *any(int64_t bytes) {
    void *memory = nullptr;
    require(posix_memalign(&memory, 256, static_cast<size_t>(bytes)) == 0);
    auto *block = static_cast<uint8_t *>(memory);
    blocks_.emplace_back(block, &free);
    input_.fill(block, static_cast<size_t>(bytes));
    return reinterpret_cast<T *>(block);
  }

private:
  Input &input_;
  std::vector<std::unique_ptr<uint8_t, decltype(&free)>> blocks_;
};

/** Fit and plan_new agree about any problem. */
void tryProblem(const pmla_problem *problem) {
  auto fit = sized<pmla_fit>();
  auto error = sized<pmla_error>();
  const pmla_status status = l->fit(device, problem, &fit, &error);
  require(status == PMLA_OK || (error.status == status && error.message[0] != '\0'));
  pmla_plan plan = nullptr;
  const pmla_status made = l->plan_new(device, problem, &plan, &error);
  require(made != PMLA_INTERNAL);
  if (made == PMLA_OK) {
    require(status == PMLA_OK && fit.grade != PMLA_FIT_NO);
    l->plan_free(plan);
  } else {
    require(status != PMLA_OK || fit.grade == PMLA_FIT_NO || made == PMLA_OUT_OF_MEMORY);
  }
}

pmla_kv_layout makeLayout(Input &input, int64_t headsKv, int64_t headDim) {
  static constexpr int64_t TOKEN[] = {0, 0, 0, 0, 0, 656, 584};
  static constexpr int64_t WIDTH[] = {0, 0, 0, 0, 0, 576, 512};
  pmla_kv_layout layout{};
  layout.format = static_cast<uint32_t>(input.oneTo(6));
  if (headDim != 0 && WIDTH[layout.format] != 0 && WIDTH[layout.format] != headDim)
    layout.format = PMLA_KV_BF16;
  const bool packed = TOKEN[layout.format] != 0;
  layout.pages = input.upTo(9);
  layout.page_size = input.chance() ? 64 : input.oneTo(70);
  layout.heads_kv = packed ? 1 : headsKv;
  layout.head_dim = packed ? WIDTH[layout.format] : headDim != 0 ? headDim : 16 * input.oneTo(10);
  const int64_t page = layout.page_size * layout.heads_kv * (packed ? TOKEN[layout.format] : layout.head_dim);
  layout.page_stride = page + (input.chance() ? 4 * input.upTo(20) : 0);
  return layout;
}

int64_t cacheBytes(const pmla_kv_layout &layout) {
  static constexpr int64_t ELEMENT[] = {0, 2, 2, 4, 1, 1, 1};
  static constexpr int64_t TOKEN[] = {0, 0, 0, 0, 0, 656, 584};
  if (layout.pages == 0) return 0;
  const int64_t token = TOKEN[layout.format] != 0 ? TOKEN[layout.format] : layout.heads_kv * layout.head_dim;
  return ((layout.pages - 1) * layout.page_stride + layout.page_size * token) * ELEMENT[layout.format];
}

int64_t elementBytes(uint32_t dtype) {
  static constexpr int64_t BYTES[] = {0, 2, 2, 4, 1};
  return BYTES[dtype];
}

/** Lengths and ids: mostly sensible, else any. */
int32_t *integers(Input &input, Blocks &blocks, int64_t count, int64_t below) {
  int32_t *block = blocks.any<int32_t>(count * 4);
  if (input.upTo(3) > 0) {
    for (int64_t i = 0; i < count; i++)
      block[i] = static_cast<int32_t>(static_cast<uint32_t>(block[i]) % (below + 2)) - 1;
  }
  return block;
}

/** Outer strides of q, and the bytes that they span. */
int64_t setStrides(Input &input, int64_t (&strides)[3], int64_t batch, int64_t tokens, int64_t heads,
                   int64_t headDim) {
  strides[2] = input.chance() ? headDim : headDim * input.upTo(2);
  strides[1] = input.chance() ? heads * strides[2] : headDim * input.upTo(3);
  strides[0] = input.chance() ? tokens * strides[1] : headDim * input.upTo(3);
  return (batch - 1) * strides[0] + (tokens - 1) * strides[1] + (heads - 1) * strides[2] + headDim;
}

/** A plan with its workspace and, by way of `choose` and `schedule`, a tile schedule. */
template <class Problem, class Args>
pmla_plan planned(Input &input, Blocks &blocks, const Problem &problem, Args &args, const int32_t *lengths,
                  const int32_t *extraLengths, int64_t pageSize) {
  const auto *head = reinterpret_cast<const pmla_problem *>(&problem);
  auto fit = sized<pmla_fit>();
  if (l->fit(device, head, &fit, nullptr) != PMLA_OK || fit.grade == PMLA_FIT_NO) return nullptr;
  pmla_plan plan = nullptr;
  require(l->plan_new(device, head, &plan, nullptr) == PMLA_OK);
  args.workspace = fit.workspace_bytes > 0 ? blocks.any(static_cast<int64_t>(fit.workspace_bytes)) : nullptr;
  args.split_pages = problem.split_pages;
  if (fit.max_partitions == 0) return plan;

  auto load = sized<pmla_load>();
  load.batch = args.batch;
  load.total_pages = args.batch * input.oneTo(100);
  load.longest_pages = input.oneTo(100);
  auto choice = sized<pmla_choice>();
  require(l->choose(plan, &load, &choice, nullptr) == PMLA_OK);
  require(choice.partitions >= 1 && choice.partitions <= fit.max_partitions && choice.fixed_overhead >= 0);
  auto schedule = sized<pmla_schedule_args>();
  schedule.batch = args.batch;
  schedule.lengths = lengths;
  schedule.extra_lengths = extraLengths;
  schedule.partitions = choice.partitions;
  schedule.fixed_overhead = choice.fixed_overhead;
  schedule.page_size = pageSize;
  schedule.split_pages = problem.split_pages;
  schedule.rows = blocks.any<int32_t>(fit.max_partitions * 32);
  schedule.num_splits = blocks.any<int32_t>((problem.max_batch + 1) * 4);
  args.schedule = {schedule.rows, schedule.num_splits};
  require(l->schedule(plan, stream, &schedule, nullptr) == PMLA_OK);
  return plan;
}

void finish(pmla_plan plan, pmla_status launched) {
  require(launched == PMLA_OK);
  pmla_event event = nullptr;
  require(l->event_new(device, &event, nullptr) == PMLA_OK);
  require(l->event_record(event, stream, nullptr) == PMLA_OK);
  pmla_status status;
  while ((status = l->event_query(event, nullptr)) == PMLA_NOT_READY) {
  }
  require(status == PMLA_OK);
  l->event_free(event);
  l->plan_free(plan);
}

void tryDecode(Input &input) {
  Blocks blocks(input);
  auto p = sized<pmla_decode_problem>();
  p.op = PMLA_OP_DECODE;
  p.q_dtype = static_cast<uint32_t>(input.oneTo(4));
  p.out_dtype = static_cast<uint32_t>(input.oneTo(3));
  p.mask = static_cast<uint32_t>(input.upTo(2));
  p.max_batch = input.oneTo(4);
  p.query_tokens = input.oneTo(input.chance() ? 3 : 40);
  p.cache = makeLayout(input, input.oneTo(3), 0);
  p.heads = p.cache.heads_kv * input.oneTo(p.query_tokens > 3 ? 5 : 40);
  p.value_dim = 16 * input.oneTo(p.cache.head_dim / 16);
  p.block_table_width = input.upTo(6);
  p.split_pages = input.chance() ? input.upTo(3) : 0;
  p.softmax_scale = (static_cast<double>(input.byte()) - 128) / 64;

  auto a = sized<pmla_decode_args>();
  a.batch = input.oneTo(p.max_batch);
  const int64_t rows = a.batch * p.query_tokens * p.heads;
  a.q = blocks.any(setStrides(input, a.q_strides, a.batch, p.query_tokens, p.heads, p.cache.head_dim) *
                   elementBytes(p.q_dtype));
  a.cache = blocks.any(cacheBytes(p.cache));
  a.seqlens = integers(input, blocks, p.max_batch, p.block_table_width * p.cache.page_size);
  a.block_table = integers(input, blocks, p.max_batch * p.block_table_width, p.cache.pages);
  if (p.mask == PMLA_MASK_TREE) {
    a.tree_mask = blocks.any<int32_t>(p.max_batch * p.query_tokens * ((p.query_tokens + 31) / 32) * 4);
  }
  a.out = blocks.any(rows * p.value_dim * elementBytes(p.out_dtype));
  if (input.chance()) a.lse = blocks.any<float>(rows * 4);
  a.descale_q = a.descale_k = 1;
  const pmla_plan plan = planned(input, blocks, p, a, a.seqlens, nullptr, p.cache.page_size);
  if (plan != nullptr) finish(plan, l->decode(plan, stream, &a, nullptr));
}

void trySparseDecode(Input &input) {
  Blocks blocks(input);
  auto p = sized<pmla_sparse_decode_problem>();
  p.op = PMLA_OP_SPARSE_DECODE;
  p.q_dtype = static_cast<uint32_t>(input.oneTo(3));
  p.out_dtype = static_cast<uint32_t>(input.oneTo(3));
  p.flags = static_cast<uint32_t>(input.upTo(15));
  if ((p.flags & PMLA_SPARSE_EXTRA) == 0) p.flags &= ~uint32_t{PMLA_SPARSE_EXTRA_TOPK_LENGTH};
  p.max_batch = input.oneTo(4);
  p.query_tokens = input.oneTo(3);
  p.heads = input.oneTo(40);
  p.cache = makeLayout(input, 1, 0);
  p.value_dim = 16 * input.oneTo(p.cache.head_dim / 16);
  p.topk = input.upTo(200);
  p.split_pages = input.chance() ? input.upTo(3) : 0;
  p.softmax_scale = 0.1;
  auto a = sized<pmla_sparse_decode_args>();
  if ((p.flags & PMLA_SPARSE_EXTRA) != 0) {
    p.extra_cache = makeLayout(input, 1, p.cache.head_dim);
    p.extra_topk = input.upTo(100);
    a.extra_cache = blocks.any(cacheBytes(p.extra_cache));
  }
  a.batch = input.oneTo(p.max_batch);
  const int64_t tokens = a.batch * p.query_tokens;
  a.q = blocks.any(setStrides(input, a.q_strides, a.batch, p.query_tokens, p.heads, p.cache.head_dim) *
                   elementBytes(p.q_dtype));
  a.cache = blocks.any(cacheBytes(p.cache));
  a.indices = integers(input, blocks, tokens * p.topk, p.cache.pages * p.cache.page_size);
  if ((p.flags & PMLA_SPARSE_TOPK_LENGTH) != 0) a.topk_length = integers(input, blocks, p.max_batch, p.topk);
  if ((p.flags & PMLA_SPARSE_EXTRA) != 0) {
    a.extra_indices =
        integers(input, blocks, tokens * p.extra_topk, p.extra_cache.pages * p.extra_cache.page_size);
  }
  if ((p.flags & PMLA_SPARSE_EXTRA_TOPK_LENGTH) != 0)
    a.extra_topk_length = integers(input, blocks, p.max_batch, p.extra_topk);
  if ((p.flags & PMLA_SPARSE_SINK) != 0) a.sink = blocks.any<float>(p.heads * 4);
  a.out = blocks.any(tokens * p.heads * p.value_dim * elementBytes(p.out_dtype));
  if (input.chance()) a.lse = blocks.any<float>(tokens * p.heads * 4);
  a.descale_k = 1;
  const pmla_plan plan = planned(input, blocks, p, a, a.topk_length, a.extra_topk_length, 64);
  if (plan != nullptr) finish(plan, l->sparse_decode(plan, stream, &a, nullptr));
}

/** A valid problem with some of its bytes replaced, in a block that ends where it says it does, or later. */
template <class Problem> void tryChanged(Input &input, const Problem &problem) {
  const size_t bytes = input.upTo(7) > 0 ? sizeof problem : static_cast<size_t>(input.oneTo(255));
  std::unique_ptr<uint8_t[]> block(new uint8_t[std::max(bytes, sizeof(pmla_problem))]());
  memcpy(block.get(), &problem, std::min(bytes, sizeof problem));
  for (int64_t changes = input.upTo(3); changes > 0; changes--) {
    const size_t at = sizeof(uint32_t) + input.byte() % bytes;
    for (size_t i = 0, count = static_cast<size_t>(input.oneTo(8)); i < count && at + i < bytes; i++)
      block[at + i] = input.byte();
  }
  const uint32_t claimed = static_cast<uint32_t>(
      bytes - static_cast<size_t>(input.upTo(3) > 0 ? 0 : input.upTo(static_cast<int64_t>(bytes))));
  memcpy(block.get(), &claimed, sizeof claimed);
  tryProblem(head(block.get()));
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  int count;
  const polymla::cpu::Kernels *const *all = polymla::cpu::allKernels(&count);
  for (int i = 0; i < count; i++) {
    if (!all[i]->usable()) continue;
    Opened made{openDevice({{"threads", "2"}, {"isa", all[i]->name}}), nullptr};
    require(l->stream_new(made.device, nullptr, &made.stream, nullptr) == PMLA_OK);
    opened.push_back(made);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Input input(data, size);
  const Opened &picked = opened[static_cast<size_t>(input.byte()) % opened.size()];
  device = picked.device;
  stream = picked.stream;
  switch (input.byte() % 12) {
  case 0:
    tryChanged(input, decodeProblem());
    break;
  case 1:
    tryChanged(input, sparseDecodeProblem());
    break;
  case 2:
    tryChanged(input, sparsePrefillProblem());
    break;
  case 3:
    tryChanged(input, appendKvProblem());
    break;
  case 4:
    tryChanged(input, mergeStatesProblem());
    break;
  case 5:
    tryChanged(input, copyPagesProblem());
    break;
  case 6:
  case 7:
    trySparseDecode(input);
    break;
  default:
    tryDecode(input);
  }
  return 0;
}
