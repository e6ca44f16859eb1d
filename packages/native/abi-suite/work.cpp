#include "work.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "faults.h"
#include "guarded.h"

namespace polymla::suite {

namespace {

/** Around every tensor; more than a vector load or a tile's row may stray. */
constexpr size_t MARGIN = 4096;
/** What outputs hold before a launch: NaN in every dtype. */
constexpr uint8_t UNWRITTEN = 0xff;

int64_t bytesOf(uint32_t dtype, int64_t elements) { return elementBytes(dtype) * elements; }

template <class T> std::vector<uint8_t> bytesFrom(const std::vector<T> &values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

void putNumber(uint8_t *to, uint32_t dtype, float value, Random &random) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (dtype == PMLA_F32) memcpy(to, &bits, 4);
  if (dtype == PMLA_BF16) memcpy(to, reinterpret_cast<uint8_t *>(&bits) + 2, 2);
  // Bits of small numbers: a value of either type below 2 in magnitude.
  if (dtype == PMLA_F16) {
    const auto half = static_cast<uint16_t>(random.next() & 0xbbff);
    memcpy(to, &half, 2);
  }
  if (dtype == PMLA_E4M3) *to = static_cast<uint8_t>(random.next() & 0xbf);
}

std::vector<uint8_t> numbers(uint32_t dtype, int64_t count, Random &random) {
  const auto width = static_cast<size_t>(elementBytes(dtype));
  std::vector<uint8_t> bytes(static_cast<size_t>(count) * width);
  for (size_t i = 0; i < bytes.size(); i += width) putNumber(bytes.data() + i, dtype, random.number(), random);
  return bytes;
}

uint32_t dtypeOfFormat(uint32_t format) { return format <= PMLA_KV_E4M3 ? format : uint32_t{0}; }

std::vector<uint8_t> cacheContent(const pmla_kv_layout &cache, Random &random) {
  const int64_t elements = cache.pages * cache.page_stride;
  if (const uint32_t dtype = dtypeOfFormat(cache.format)) return numbers(dtype, elements, random);
  std::vector<uint8_t> bytes(static_cast<size_t>(elements));
  for (auto &byte : bytes) byte = static_cast<uint8_t>(random.next() & 0xbf);
  for (int64_t page = 0; page < cache.pages; page++) {
    uint8_t *at = bytes.data() + page * cache.page_stride;
    for (int64_t token = 0; token < cache.page_size; token++) {
      const bool is656 = cache.format == PMLA_KV_FP8_656;
      uint8_t *rope = at + (is656 ? token * 656 + 528 : token * 576 + 448);
      for (int i = 0; i < 64; i++) putNumber(rope + 2 * i, PMLA_BF16, random.number(), random);
      for (int i = 0; i < 4 && is656; i++) putNumber(at + token * 656 + 512 + 4 * i, PMLA_F32, 0.25f, random);
      if (!is656) memset(at + cache.page_size * 576 + token * 8, 125, 7);
    }
  }
  return bytes;
}

std::vector<int32_t> indices(int64_t count, int64_t below, Random &random) {
  std::vector<int32_t> made(static_cast<size_t>(count));
  for (auto &index : made) index = static_cast<int32_t>(random.in(-1, below - 1));
  return made;
}

std::vector<int32_t> lengths(int64_t count, int64_t most, Random &random) {
  std::vector<int32_t> made(static_cast<size_t>(count));
  for (auto &length : made) length = static_cast<int32_t>(random.in(0, most));
  // The longest and, where there is more than one, the shortest are always there.
  if (!made.empty()) made.front() = static_cast<int32_t>(most);
  if (made.size() > 1) made.back() = 0;
  return made;
}

} // namespace

struct Work::Tensor {
  const Device &device;
  const char *what;
  size_t bytes;
  bool isOutput = false;
  /** Bytes of its elements where every one is to be written, else 0. */
  size_t element = 0;
  std::vector<uint8_t> content{}, found{};
  void *memory = nullptr;
  /** Memory around it that is looked at: none between fences, which the processor looks at. */
  size_t margin = MARGIN;
  uint8_t *at = nullptr;
  std::unique_ptr<Fence> before{}, after{};

  size_t total() const { return margin == 0 ? bytes : margin + (bytes + 255) / 256 * 256 + margin; }
  uint8_t *data() const { return at; }

  void allocate(size_t size) {
    succeed("alloc", [&](pmla_error *error) { return device.table.alloc(device, size, &memory, error); });
    require(memory != nullptr, "alloc succeeds and gives no memory");
    require(reinterpret_cast<uintptr_t>(memory) % 256 == 0, "alloc: memory is not aligned to 256 bytes");
    at = static_cast<uint8_t *>(memory) + margin;
  }

  /** Takes away the whole pages before and behind it, which are of the same allocation; one side touches. */
  void fence(Fenced side, size_t alignment) {
    margin = 0;
    const size_t page = Fence::pageBytes(), room = (bytes + page - 1) / page * page;
    allocate(room + 3 * page);
    auto *first = reinterpret_cast<uint8_t *>((reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page);
    uint8_t *const begin = first + page, *const end = begin + room;
    at = side == Fenced::BEFORE ? begin : end - (bytes + alignment - 1) / alignment * alignment;
    before = std::make_unique<Fence>(first, page, what, at);
    after = std::make_unique<Fence>(end, page, what, at + bytes);
  }

  ~Tensor() {
    before = nullptr;
    after = nullptr;
    if (memory != nullptr) device.table.release(device, memory);
  }
};

class Work::Plan {
public:
  Plan(const Device &device, const pmla_problem *problem) : table_(device.table) {
    succeed("plan_new", [&](pmla_error *error) { return table_.plan_new(device, problem, &handle, error); });
    require(handle != nullptr, "plan_new succeeds and gives no plan");
  }
  ~Plan() { table_.plan_free(handle); }
  pmla_plan handle = nullptr;

private:
  const pmla_library &table_;
};

pmla_fit askFit(const Device &device, const pmla_problem *problem) {
  auto fit = sized<pmla_fit>();
  ErrorRecord error;
  const pmla_status status = device.table.fit(device, problem, &fit, error.get());
  error.check(status, "fit");
  if (status == PMLA_UNSUPPORTED || status == PMLA_INVALID_ARGUMENT) {
    fit = sized<pmla_fit>();
    snprintf(fit.why, sizeof fit.why, "%s", error.message().c_str());
    return fit;
  }
  if (status != PMLA_OK) throw CallFailed{status, "fit", error.message()};
  require(fit.size == sizeof fit, "fit changes the size of its answer");
  require(fit.grade <= PMLA_FIT_TUNED, text("fit: grade %u is none", fit.grade));
  if (fit.grade == PMLA_FIT_NO) {
    require(!textOf(fit.why, sizeof fit.why, "fit's why").empty(), "fit says no without a reason");
    return fit;
  }
  require(fit.max_partitions >= 0 && fit.max_partitions <= 1 << 20,
          text("fit: max_partitions %lld", static_cast<long long>(fit.max_partitions)));
  require(fit.fixed_overhead >= 0, text("fit: fixed_overhead %lld", static_cast<long long>(fit.fixed_overhead)));
  require(fit.workspace_bytes < uint64_t{1} << 62, "fit: workspace_bytes of more than 2^62");
  return fit;
}

namespace {

/** Whether the table has what launches an op: a host does not ask `fit` where it has not. */
bool hasLaunch(const pmla_library &t, uint32_t op) {
  switch (op) {
  case PMLA_OP_DECODE:
    return t.decode != nullptr;
  case PMLA_OP_SPARSE_DECODE:
    return t.sparse_decode != nullptr;
  case PMLA_OP_SPARSE_PREFILL:
    return t.sparse_prefill != nullptr;
  case PMLA_OP_APPEND_KV:
    return t.append_kv != nullptr;
  case PMLA_OP_MERGE_STATES:
    return t.merge_states != nullptr;
  default:
    return t.copy_pages != nullptr;
  }
}

} // namespace

Work::Work(const Device &device, const Sample &sample, const WorkOptions &options)
    : name(sample.name), device_(device), problem_(sample.problem), options_(options), random_(options.seed) {
  memset(&args_, 0, sizeof args_);
  if (!hasLaunch(device.table, problem_.head.op)) throw Skipped{name + ": the library does not have this op"};
  Guarded block(problem_.head.size);
  memcpy(block.data(), &problem_, block.size());
  const pmla_problem *problem = options.guarded ? block.as<pmla_problem>() : &problem_.head;
  fit_ = askFit(device, problem);
  if (fit_.grade == PMLA_FIT_NO) throw Skipped{name + ": " + fit_.why};
  plan_ = std::make_unique<Plan>(device, problem);
  if (options.guarded) block.seal();
  switch (problem_.head.op) {
  case PMLA_OP_DECODE:
    makeDecode();
    break;
  case PMLA_OP_SPARSE_DECODE:
    makeSparseDecode();
    break;
  case PMLA_OP_SPARSE_PREFILL:
    makeSparsePrefill();
    break;
  case PMLA_OP_APPEND_KV:
    makeAppendKv();
    break;
  case PMLA_OP_MERGE_STATES:
    makeMergeStates();
    break;
  default:
    makeCopyPages();
    break;
  }
}

Work::~Work() {
  try {
    if (used_ != nullptr) used_->finish();
  } catch (...) {
    // What went wrong is known already.
  }
  setUnderWay(nullptr);
}

Work::Tensor &Work::make(const char *what, size_t bytes, size_t alignment) {
  tensors_.push_back(std::make_unique<Tensor>(device_, what, bytes));
  Tensor &tensor = *tensors_.back();
  if (options_.tensors == Fenced::NONE) {
    tensor.allocate(tensor.total());
  } else {
    tensor.fence(options_.tensors, alignment);
  }
  return tensor;
}

template <class T> T *Work::input(const char *what, std::vector<uint8_t> content) {
  Tensor &tensor = make(what, content.size());
  tensor.content = std::move(content);
  return reinterpret_cast<T *>(tensor.data());
}

template <class T> T *Work::output(const char *what, int64_t bytes, size_t element) {
  Tensor &tensor = make(what, static_cast<size_t>(bytes));
  tensor.isOutput = true;
  tensor.element = element;
  tensor.content.assign(tensor.bytes, UNWRITTEN);
  return reinterpret_cast<T *>(tensor.data());
}

void *Work::workspace(uint64_t bytes) {
  if (bytes == 0) return nullptr;
  require(bytes < uint64_t{1} << 32, text("a workspace of %llu bytes for a small problem",
                                          static_cast<unsigned long long>(bytes)));
  Tensor &tensor = make("the workspace", static_cast<size_t>(bytes), 256);
  tensor.content.assign(tensor.bytes, options_.surroundings);
  return tensor.data();
}

void Work::makeSchedules(const std::vector<int64_t> &pages, int64_t splitPages, pmla_schedule &to) {
  if (fit_.max_partitions == 0) return;
  int64_t partitions = fit_.max_partitions, overhead = fit_.fixed_overhead;
  if (device_.table.choose != nullptr) {
    auto load = sized<pmla_load>();
    load.batch = static_cast<int64_t>(pages.size());
    for (const int64_t count : pages) {
      load.total_pages += std::max<int64_t>(count, 1);
      load.longest_pages = std::max(load.longest_pages, count);
    }
    auto choice = sized<pmla_choice>();
    succeed("choose", [&](pmla_error *error) { return device_.table.choose(plan_->handle, &load, &choice, error); });
    partitions = choice.partitions;
    overhead = choice.fixed_overhead;
    require(partitions >= 1 && partitions <= fit_.max_partitions && overhead >= 0,
            text("choose: %lld partitions of at most %lld, overhead %lld", static_cast<long long>(partitions),
                 static_cast<long long>(fit_.max_partitions), static_cast<long long>(overhead)));
  }
  const Schedule made = makeSchedule(pages, fit_.max_partitions, partitions, overhead, splitPages);
  to.rows = input<int32_t>("the schedule", bytesFrom(made.rows));
  to.num_splits = input<int32_t>("num_splits", bytesFrom(made.numSplits));
}

void Work::makeDecode() {
  const auto &p = problem_.decode;
  auto &a = args_.decode;
  const int64_t width = p.cache.head_dim, rows = p.max_batch * p.query_tokens * p.heads;
  const auto seqlens = lengths(p.max_batch, std::min(p.block_table_width, p.cache.pages) * p.cache.page_size, random_);
  std::vector<int32_t> table(static_cast<size_t>(p.max_batch * p.block_table_width));
  for (auto &page : table) page = static_cast<int32_t>(random_.in(0, p.cache.pages - 1));
  std::vector<int64_t> pages;
  for (const int32_t length : seqlens) pages.push_back((length + p.cache.page_size - 1) / p.cache.page_size);
  a.size = sizeof a;
  a.batch = p.max_batch;
  a.q = input("q", numbers(p.q_dtype, rows * width, random_));
  a.q_strides[0] = p.query_tokens * p.heads * width;
  a.q_strides[1] = p.heads * width;
  a.q_strides[2] = width;
  a.cache = input("the cache", cacheContent(p.cache, random_));
  a.seqlens = input<int32_t>("seqlens", bytesFrom(seqlens));
  a.block_table = input<int32_t>("block_table", bytesFrom(table));
  a.out = output("out", bytesOf(p.out_dtype, rows * p.value_dim), static_cast<size_t>(elementBytes(p.out_dtype)));
  a.lse = output<float>("lse", 4 * rows, 4);
  a.descale_q = a.descale_k = 1;
  a.split_pages = p.split_pages;
  makeSchedules(pages, p.split_pages, a.schedule);
  a.workspace = workspace(fit_.workspace_bytes);
}

void Work::makeSparseDecode() {
  const auto &p = problem_.sparseDecode;
  auto &a = args_.sparseDecode;
  const int64_t width = p.cache.head_dim, rows = p.max_batch * p.query_tokens * p.heads;
  const auto chosen = [&](const pmla_kv_layout &cache, int64_t topk) {
    return bytesFrom(indices(p.max_batch * p.query_tokens * topk, cache.pages * cache.page_size, random_));
  };
  const bool counted = (p.flags & PMLA_SPARSE_TOPK_LENGTH) != 0;
  auto counts = lengths(p.max_batch, p.topk, random_);
  if (!counted) std::fill(counts.begin(), counts.end(), static_cast<int32_t>(p.topk));
  a.size = sizeof a;
  a.batch = p.max_batch;
  a.q = input("q", numbers(p.q_dtype, rows * width, random_));
  a.q_strides[0] = p.query_tokens * p.heads * width;
  a.q_strides[1] = p.heads * width;
  a.q_strides[2] = width;
  a.cache = input("the cache", cacheContent(p.cache, random_));
  a.indices = input<int32_t>("indices", chosen(p.cache, p.topk));
  if (counted) a.topk_length = input<int32_t>("topk_length", bytesFrom(counts));
  if ((p.flags & PMLA_SPARSE_EXTRA) != 0) {
    a.extra_cache = input("the extra cache", cacheContent(p.extra_cache, random_));
    a.extra_indices = input<int32_t>("extra_indices", chosen(p.extra_cache, p.extra_topk));
  }
  if ((p.flags & PMLA_SPARSE_SINK) != 0) a.sink = input<float>("sink", numbers(PMLA_F32, p.heads, random_));
  a.out = output("out", bytesOf(p.out_dtype, rows * p.value_dim), static_cast<size_t>(elementBytes(p.out_dtype)));
  a.lse = output<float>("lse", 4 * rows, 4);
  a.descale_k = 1;
  a.split_pages = p.split_pages;
  // As core's sparseLengths has it: no indices count as one, and extra ones begin at a page of their own.
  const bool extra = (p.flags & PMLA_SPARSE_EXTRA) != 0;
  std::vector<int64_t> pages;
  for (const int32_t count : counts) {
    const int64_t first = (count + 63) / 64;
    pages.push_back(std::max<int64_t>(first, 1) + (extra ? (p.extra_topk + 63) / 64 : 0));
  }
  makeSchedules(pages, p.split_pages, a.schedule);
  a.workspace = workspace(fit_.workspace_bytes);
}

void Work::makeSparsePrefill() {
  const auto &p = problem_.sparsePrefill;
  auto &a = args_.sparsePrefill;
  const int64_t rows = p.query_tokens * p.heads;
  a.size = sizeof a;
  a.q = input("q", numbers(p.dtype, rows * p.head_dim, random_));
  a.q_strides[0] = p.heads * p.head_dim;
  a.q_strides[1] = p.head_dim;
  a.kv = input("kv", numbers(p.dtype, p.keys * p.head_dim, random_));
  a.kv_stride = p.head_dim;
  a.indices = input<int32_t>("indices", bytesFrom(indices(p.query_tokens * p.topk, p.keys, random_)));
  a.topk_length = input<int32_t>("topk_length", bytesFrom(lengths(p.query_tokens, p.topk, random_)));
  a.out = output("out", bytesOf(p.out_dtype, rows * p.value_dim), static_cast<size_t>(elementBytes(p.out_dtype)));
  a.max_logits = output<float>("max_logits", 4 * rows, 4);
  a.lse = output<float>("lse", 4 * rows, 4);
  a.workspace = workspace(fit_.workspace_bytes);
}

void Work::makeAppendKv() {
  const auto &p = problem_.appendKv;
  auto &a = args_.appendKv;
  const int64_t heads = p.cache.heads_kv, latent = p.cache.head_dim - p.rope_dim;
  std::vector<int32_t> slots, positions;
  // No two tokens share a slot; one is skipped.
  for (int64_t i = 0; i < p.max_tokens; i++) {
    slots.push_back(i == 1 ? -1 : static_cast<int32_t>((i * 37 + 5) % (p.cache.pages * p.cache.page_size)));
    positions.push_back(static_cast<int32_t>(random_.in(0, p.table_length - 1)));
  }
  a.size = sizeof a;
  a.tokens = p.max_tokens;
  a.latent = input("latent", numbers(p.dtype, p.max_tokens * heads * latent, random_));
  a.latent_strides[0] = heads * latent;
  a.latent_strides[1] = latent;
  if (p.rope_dim > 0) a.rope_key = input("rope_key", numbers(p.dtype, p.max_tokens * heads * p.rope_dim, random_));
  a.rope_key_strides[0] = heads * p.rope_dim;
  a.rope_key_strides[1] = p.rope_dim;
  a.slots = input<int32_t>("slots", bytesFrom(slots));
  if (p.rotary != PMLA_ROTARY_NONE) {
    a.positions = input<int32_t>("positions", bytesFrom(positions));
    a.rotary_table = input<float>("rotary_table", numbers(PMLA_F32, p.table_length * p.rope_dim, random_));
  }
  const int64_t bytes = cacheElementBytes(p.cache.format) * p.cache.pages * p.cache.page_stride;
  a.cache = output("the cache", bytes);
  a.descale_k = 1;
  a.workspace = workspace(fit_.workspace_bytes);
}

void Work::makeMergeStates() {
  const auto &p = problem_.mergeStates;
  auto &a = args_.mergeStates;
  const int64_t rows = p.batch * p.query_tokens * p.heads;
  auto lses = numbers(PMLA_F32, p.parts * rows, random_);
  const float empty = std::numeric_limits<float>::infinity();
  memcpy(lses.data(), &empty, 4);
  a.size = sizeof a;
  a.outs = input("outs", numbers(p.dtype, p.parts * rows * p.value_dim, random_));
  a.outs_strides[0] = rows * p.value_dim;
  a.outs_strides[1] = p.query_tokens * p.heads * p.value_dim;
  a.outs_strides[2] = p.heads * p.value_dim;
  a.outs_strides[3] = p.value_dim;
  a.lses = input<float>("lses", std::move(lses));
  a.lses_strides[0] = rows;
  a.lses_strides[1] = p.heads * p.query_tokens;
  a.lses_strides[2] = p.query_tokens;
  a.out = output("out", bytesOf(p.out_dtype, rows * p.value_dim), static_cast<size_t>(elementBytes(p.out_dtype)));
  a.lse = output<float>("lse", 4 * rows, 4);
  a.workspace = workspace(fit_.workspace_bytes);
}

void Work::makeCopyPages() {
  const auto &p = problem_.copyPages;
  auto &a = args_.copyPages;
  const int64_t pairs = std::min(p.max_pairs, p.cache.pages / 2);
  std::vector<int32_t> pages;
  for (int64_t i = 0; i < pairs; i++) {
    pages.push_back(static_cast<int32_t>(2 * i));
    pages.push_back(static_cast<int32_t>(2 * i + 1));
  }
  a.size = sizeof a;
  a.pairs = pairs;
  const int64_t bytes = cacheElementBytes(p.cache.format) * p.cache.pages * p.cache.page_stride;
  a.cache = output("the cache", bytes);
  // What is copied must differ from what is there.
  auto &content = tensors_.back()->content;
  for (auto &byte : content) byte = static_cast<uint8_t>(random_.next());
  a.pages = input<int32_t>("pages", bytesFrom(pages));
  a.workspace = workspace(fit_.workspace_bytes);
}

void Work::upload(Stream &stream) {
  used_ = &stream;
  for (const auto &tensor : tensors_) {
    if (tensor->margin > 0) stream.fill(tensor->memory, options_.surroundings, tensor->total());
    stream.upload(tensor->data(), tensor->content.data(), tensor->bytes);
  }
}

void Work::launch(Stream &stream) {
  used_ = &stream;
  setUnderWay(name.c_str());
  const uint32_t size = args_.decode.size;
  Guarded block(size);
  memcpy(block.data(), &args_, size);
  const void *args = options_.guarded ? block.data() : &args_;
  const pmla_library &t = device_.table;
  succeed("a launch", [&](pmla_error *error) {
    switch (problem_.head.op) {
    case PMLA_OP_DECODE:
      return t.decode(plan_->handle, stream, static_cast<const pmla_decode_args *>(args), error);
    case PMLA_OP_SPARSE_DECODE:
      return t.sparse_decode(plan_->handle, stream, static_cast<const pmla_sparse_decode_args *>(args), error);
    case PMLA_OP_SPARSE_PREFILL:
      return t.sparse_prefill(plan_->handle, stream, static_cast<const pmla_sparse_prefill_args *>(args), error);
    case PMLA_OP_APPEND_KV:
      return t.append_kv(plan_->handle, stream, static_cast<const pmla_append_kv_args *>(args), error);
    case PMLA_OP_MERGE_STATES:
      return t.merge_states(plan_->handle, stream, static_cast<const pmla_merge_states_args *>(args), error);
    default:
      return t.copy_pages(plan_->handle, stream, static_cast<const pmla_copy_pages_args *>(args), error);
    }
  });
  if (options_.guarded) {
    block.seal();
    // Work that reads the struct later has to have met the seal before it goes.
    stream.finish();
  }
}

void Work::download(Stream &stream) {
  for (const auto &tensor : tensors_) {
    tensor->found.assign(tensor->total(), 0);
    stream.download(tensor->found.data(), tensor->data() - tensor->margin, tensor->total());
  }
}

std::vector<uint8_t> Work::run(Stream &stream) {
  upload(stream);
  launch(stream);
  download(stream);
  stream.finish();
  return outputs();
}

std::vector<uint8_t> Work::outputs() const {
  std::vector<uint8_t> all;
  for (const auto &tensor : tensors_) {
    const auto &found = tensor->found;
    const auto outside = [&](size_t from, size_t to) {
      return std::all_of(found.begin() + static_cast<ptrdiff_t>(from), found.begin() + static_cast<ptrdiff_t>(to),
                         [&](uint8_t byte) { return byte == options_.surroundings; });
    };
    require(outside(0, tensor->margin) && outside(tensor->margin + tensor->bytes, found.size()),
            text("%s: memory around %s was written", name.c_str(), tensor->what));
    const uint8_t *inside = found.data() + tensor->margin;
    if (tensor->isOutput) {
      require(memcmp(inside, tensor->content.data(), tensor->bytes) != 0,
              text("%s: the launch wrote nothing to %s", name.c_str(), tensor->what));
      for (size_t at = 0; tensor->element > 0 && at < tensor->bytes; at += tensor->element) {
        // Millions of elements, and a message for at most one.
        if (!std::all_of(inside + at, inside + at + tensor->element, [](uint8_t b) { return b == UNWRITTEN; })) continue;
        throw Failed{text("%s: element %zu of %s is not written, or NaN", name.c_str(), at / tensor->element, tensor->what)};
      }
      all.insert(all.end(), inside, inside + tensor->bytes);
    } else if (strcmp(tensor->what, "the workspace") != 0) {
      require(memcmp(inside, tensor->content.data(), tensor->bytes) == 0,
              text("%s: %s, an input, was written", name.c_str(), tensor->what));
    }
  }
  return all;
}

bool hasHostMemory(const Device &device) {
  void *memory = nullptr;
  succeed("alloc", [&](pmla_error *error) { return device.table.alloc(device, 4096, &memory, error); });
  const bool isHost = isHostMemory(memory);
  device.table.release(device, memory);
  return isHost;
}

std::vector<Sample> doable(const Device &device, size_t most) {
  std::vector<Sample> found;
  std::string why = "none of the samples";
  for (const Sample &sample : samples()) {
    if (!hasLaunch(device.table, sample.problem.head.op)) {
      why = sample.name + ": the library does not have this op";
      continue;
    }
    const pmla_fit fit = askFit(device, &sample.problem.head);
    if (fit.grade != PMLA_FIT_NO && found.size() < most) found.push_back(sample);
    if (fit.grade == PMLA_FIT_NO) why = sample.name + ": " + fit.why;
  }
  if (found.empty()) throw Skipped{"the device does none of the suite's problems; " + why};
  return found;
}

} // namespace polymla::suite
