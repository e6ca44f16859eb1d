#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "host.h"

/** One small problem of every op, on any host's terms: made, launched and freed through the table alone. */
namespace polymla::cpu::test {

using Bytes = std::vector<uint8_t>;

constexpr int64_t BATCH = 3;
constexpr int64_t TOKENS = 2;
constexpr int64_t HEADS = 24;
constexpr int64_t HEAD_DIM = 96;
constexpr int64_t VALUE_DIM = 64;
constexpr int64_t PAGES = 40;
constexpr int64_t PAGE_SIZE = 16;
constexpr int64_t WIDTH = 12;
constexpr int64_t TOPK = 70;
constexpr int64_t KEYS = 200;
constexpr int64_t PARTS = 3;
constexpr int64_t SLOTS = PAGES * PAGE_SIZE;
constexpr int64_t ROPE = 32;

template <class Struct> Struct sized() {
  Struct made;
  memset(&made, 0, sizeof made);
  made.size = sizeof made;
  return made;
}

template <class Struct> Struct problemOf(pmla_op op) {
  Struct made = sized<Struct>();
  made.op = op;
  return made;
}

inline pmla_kv_layout layout() {
  return {PMLA_KV_BF16, 0, PAGES, PAGE_SIZE, 1, HEAD_DIM, PAGE_SIZE * HEAD_DIM};
}

inline pmla_decode_problem decodeProblem() {
  auto p = problemOf<pmla_decode_problem>(PMLA_OP_DECODE);
  p.q_dtype = PMLA_BF16;
  p.out_dtype = PMLA_BF16;
  p.mask = PMLA_MASK_CAUSAL;
  p.max_batch = BATCH;
  p.query_tokens = TOKENS;
  p.heads = HEADS;
  p.value_dim = VALUE_DIM;
  p.block_table_width = WIDTH;
  p.cache = layout();
  p.softmax_scale = 0.1;
  return p;
}

inline pmla_sparse_decode_problem sparseDecodeProblem() {
  auto p = problemOf<pmla_sparse_decode_problem>(PMLA_OP_SPARSE_DECODE);
  p.q_dtype = PMLA_BF16;
  p.out_dtype = PMLA_BF16;
  p.flags = PMLA_SPARSE_SINK;
  p.max_batch = BATCH;
  p.query_tokens = TOKENS;
  p.heads = HEADS;
  p.value_dim = VALUE_DIM;
  p.topk = TOPK;
  p.cache = layout();
  p.softmax_scale = 0.1;
  return p;
}

inline pmla_sparse_prefill_problem sparsePrefillProblem() {
  auto p = problemOf<pmla_sparse_prefill_problem>(PMLA_OP_SPARSE_PREFILL);
  p.dtype = PMLA_F32;
  p.out_dtype = PMLA_F32;
  p.query_tokens = BATCH * TOKENS;
  p.heads = HEADS;
  p.keys = KEYS;
  p.head_dim = HEAD_DIM;
  p.value_dim = VALUE_DIM;
  p.topk = TOPK;
  p.softmax_scale = 0.1;
  return p;
}

inline pmla_append_kv_problem appendKvProblem() {
  auto p = problemOf<pmla_append_kv_problem>(PMLA_OP_APPEND_KV);
  p.dtype = PMLA_F32;
  p.rotary = PMLA_ROTARY_NEOX;
  p.max_tokens = SLOTS;
  p.rope_dim = ROPE;
  p.table_length = SLOTS;
  p.cache = layout();
  return p;
}

inline pmla_merge_states_problem mergeStatesProblem() {
  auto p = problemOf<pmla_merge_states_problem>(PMLA_OP_MERGE_STATES);
  p.dtype = PMLA_F32;
  p.out_dtype = PMLA_F32;
  p.parts = PARTS;
  p.batch = BATCH;
  p.query_tokens = TOKENS;
  p.heads = HEADS;
  p.value_dim = VALUE_DIM;
  return p;
}

inline pmla_copy_pages_problem copyPagesProblem() {
  auto p = problemOf<pmla_copy_pages_problem>(PMLA_OP_COPY_PAGES);
  p.max_pairs = 2;
  p.cache = layout();
  return p;
}

inline const pmla_problem *head(const void *problem) { return static_cast<const pmla_problem *>(problem); }

/**
 * A device with everything that a run of all ops takes. `make` stops at the first call that fails and leaves
 * its status; whatever was made by then is freed in the end.
 */
class Workload {
public:
  Workload() {
    // Nothing that was made is lost for want of room to note it.
    blocks_.reserve(64);
    plans_.reserve(8);
  }
  ~Workload() {
    for (void *block : blocks_) l.release(device, block);
    for (pmla_plan plan : plans_) l.plan_free(plan);
    if (event != nullptr) l.event_free(event);
    if (graph != nullptr) l.graph_free(graph);
    if (stream != nullptr) l.stream_free(stream);
    if (device != nullptr) l.close(device);
  }
  Workload(const Workload &) = delete;
  Workload &operator=(const Workload &) = delete;

  /** Opens the device and makes plans and buffers. */
  pmla_status make(const char *threads, const char *isa = nullptr) {
    const pmla_option options[] = {{"threads", threads}, {"isa", isa}};
    step(l.open(0, options, isa == nullptr ? 1 : 2, &device, &error));
    if (ok()) step(l.stream_new(device, nullptr, &stream, &error));
    if (ok()) step(l.event_new(device, &event, &error));

    decode_ = plan(decodeProblem());
    sparseDecode_ = plan(sparseDecodeProblem());
    sparsePrefill_ = plan(sparsePrefillProblem());
    appendKv_ = plan(appendKvProblem());
    mergeStates_ = plan(mergeStatesProblem());
    copyPages_ = plan(copyPagesProblem());

    const int64_t rows = BATCH * TOKENS * HEADS;
    cache_ = buffer(SLOTS * HEAD_DIM * 2);
    latent_ = floats(SLOTS * (HEAD_DIM - ROPE));
    ropeKey_ = floats(SLOTS * ROPE);
    table_ = floats(SLOTS * ROPE);
    slots_ = integers(SLOTS, [](int64_t i) { return i; });
    lengths_ = integers(BATCH, [](int64_t i) {
      return std::vector<int64_t>{WIDTH * PAGE_SIZE, 0, 77}[static_cast<size_t>(i)];
    });
    blockTable_ = integers(BATCH * WIDTH, [](int64_t i) { return (i * 7 + 3) % PAGES; });
    indices_ = integers(BATCH * TOKENS * TOPK, [](int64_t i) { return i % 11 == 0 ? -1 : i * 13 % KEYS; });
    q_ = bf16s(rows * HEAD_DIM);
    q32_ = floats(rows * HEAD_DIM);
    kv_ = floats(KEYS * HEAD_DIM);
    sink_ = floats(HEADS);
    outs_ = floats(PARTS * rows * VALUE_DIM);
    lses_ = floats(PARTS * rows);
    pages_ = integers(4, [](int64_t i) {
      return std::vector<int64_t>{1, 38, 2, 39}[static_cast<size_t>(i)];
    });
    for (Result &out : results_) out.memory = buffer(out.bytes);
    return status;
  }

  /** Enqueues every op once. */
  pmla_status launch() {
    auto append = sized<pmla_append_kv_args>();
    append.tokens = SLOTS;
    append.latent = latent_;
    append.latent_strides[0] = append.latent_strides[1] = HEAD_DIM - ROPE;
    append.rope_key = ropeKey_;
    append.rope_key_strides[0] = append.rope_key_strides[1] = ROPE;
    append.slots = slots_;
    append.positions = slots_;
    append.rotary_table = table_;
    append.cache = cache_;
    append.descale_k = 1;
    append.workspace = appendKv_.workspace;
    if (ok()) step(l.append_kv(appendKv_.plan, stream, &append, &error));

    auto copy = sized<pmla_copy_pages_args>();
    copy.pairs = 2;
    copy.cache = cache_;
    copy.pages = pages_;
    copy.workspace = copyPages_.workspace;
    if (ok()) step(l.copy_pages(copyPages_.plan, stream, &copy, &error));

    scheduleOn(decode_, lengths_, WIDTH * 2 + 5, PAGE_SIZE);
    auto decode = sized<pmla_decode_args>();
    decode.batch = BATCH;
    decode.q = q_;
    setStrides(decode.q_strides);
    decode.cache = cache_;
    decode.seqlens = lengths_;
    decode.block_table = blockTable_;
    decode.out = results_[0].memory;
    decode.lse = static_cast<float *>(results_[1].memory);
    decode.descale_q = decode.descale_k = 1;
    decode.schedule = decode_.schedule;
    decode.workspace = decode_.workspace;
    if (ok()) step(l.decode(decode_.plan, stream, &decode, &error));

    scheduleOn(sparseDecode_, nullptr, BATCH * 2, 64);
    auto sparse = sized<pmla_sparse_decode_args>();
    sparse.batch = BATCH;
    sparse.q = q_;
    setStrides(sparse.q_strides);
    sparse.cache = cache_;
    sparse.indices = indices_;
    sparse.sink = sink_;
    sparse.out = results_[2].memory;
    sparse.lse = static_cast<float *>(results_[3].memory);
    sparse.descale_k = 1;
    sparse.schedule = sparseDecode_.schedule;
    sparse.workspace = sparseDecode_.workspace;
    if (ok()) step(l.sparse_decode(sparseDecode_.plan, stream, &sparse, &error));

    auto prefill = sized<pmla_sparse_prefill_args>();
    prefill.q = q32_;
    prefill.q_strides[0] = HEADS * HEAD_DIM;
    prefill.q_strides[1] = HEAD_DIM;
    prefill.kv = kv_;
    prefill.kv_stride = HEAD_DIM;
    prefill.indices = indices_;
    prefill.out = results_[4].memory;
    prefill.max_logits = static_cast<float *>(results_[5].memory);
    prefill.lse = static_cast<float *>(results_[6].memory);
    prefill.workspace = sparsePrefill_.workspace;
    if (ok()) step(l.sparse_prefill(sparsePrefill_.plan, stream, &prefill, &error));

    auto merge = sized<pmla_merge_states_args>();
    merge.outs = outs_;
    const int64_t rows = BATCH * TOKENS * HEADS;
    const int64_t outsStrides[] = {rows * VALUE_DIM, TOKENS * HEADS * VALUE_DIM, HEADS * VALUE_DIM,
                                   VALUE_DIM};
    const int64_t lsesStrides[] = {rows, TOKENS * HEADS, TOKENS};
    memcpy(merge.outs_strides, outsStrides, sizeof outsStrides);
    memcpy(merge.lses_strides, lsesStrides, sizeof lsesStrides);
    merge.lses = lses_;
    merge.out = results_[7].memory;
    merge.lse = static_cast<float *>(results_[8].memory);
    merge.workspace = mergeStates_.workspace;
    if (ok()) step(l.merge_states(mergeStates_.plan, stream, &merge, &error));
    return status;
  }

  /** Overwrites all results. */
  pmla_status spoil() {
    for (const Result &out : results_) {
      if (ok()) step(l.fill(stream, out.memory, 0xa5, static_cast<uint64_t>(out.bytes), &error));
    }
    return status;
  }

  /** Waits, and gives the cache and all results, one behind the other; empty when the work failed. */
  Bytes results() {
    if (ok()) step(l.event_record(event, stream, &error));
    if (!ok()) return {};
    while ((status = l.event_query(event, &error)) == PMLA_NOT_READY) {
    }
    Bytes all;
    if (!ok()) return all;
    append(all, cache_, SLOTS * HEAD_DIM * 2);
    for (const Result &out : results_) append(all, out.memory, out.bytes);
    return all;
  }

  bool ok() const { return status == PMLA_OK; }

  const pmla_library &l = library();
  pmla_status status = PMLA_OK;
  pmla_error error = makeError();
  pmla_device device = nullptr;
  pmla_stream stream = nullptr;
  pmla_event event = nullptr;
  pmla_graph graph = nullptr;

private:
  struct Made {
    pmla_plan plan = nullptr;
    void *workspace = nullptr;
    pmla_schedule schedule{nullptr, nullptr};
    int64_t partitions = 0;
  };
  struct Result {
    explicit Result(int64_t bytes) : bytes(bytes) {}
    int64_t bytes;
    void *memory = nullptr;
  };

  void step(pmla_status made) { status = made; }

  void *buffer(int64_t bytes) {
    void *memory = nullptr;
    if (ok()) step(l.alloc(device, static_cast<uint64_t>(bytes), &memory, &error));
    if (ok()) blocks_.push_back(memory);
    if (ok()) step(l.fill(stream, memory, 0, static_cast<uint64_t>(bytes), &error));
    return memory;
  }

  template <class Problem> Made plan(const Problem &problem) {
    Made made;
    auto fit = sized<pmla_fit>();
    if (ok()) step(l.fit(device, head(&problem), &fit, &error));
    if (ok()) EXPECT(fit.grade != PMLA_FIT_NO);
    if (ok()) step(l.plan_new(device, head(&problem), &made.plan, &error));
    if (ok()) plans_.push_back(made.plan);
    if (fit.workspace_bytes > 0) made.workspace = buffer(static_cast<int64_t>(fit.workspace_bytes));
    if (fit.max_partitions > 0) {
      made.schedule.rows = static_cast<int32_t *>(buffer(fit.max_partitions * 32));
      made.schedule.num_splits = static_cast<int32_t *>(buffer((BATCH + 1) * 4));
    }
    return made;
  }

  /** Computes a plan's schedule on the device. */
  void scheduleOn(const Made &made, const int32_t *lengths, int64_t totalPages, int64_t pageSize) {
    if (made.schedule.rows == nullptr || !ok()) return;
    auto load = sized<pmla_load>();
    load.batch = BATCH;
    load.total_pages = totalPages;
    load.longest_pages = WIDTH;
    auto choice = sized<pmla_choice>();
    step(l.choose(made.plan, &load, &choice, &error));
    auto args = sized<pmla_schedule_args>();
    args.batch = BATCH;
    args.lengths = lengths;
    args.partitions = choice.partitions;
    args.fixed_overhead = choice.fixed_overhead;
    args.page_size = pageSize;
    args.rows = const_cast<int32_t *>(made.schedule.rows);
    args.num_splits = const_cast<int32_t *>(made.schedule.num_splits);
    if (ok()) step(l.schedule(made.plan, stream, &args, &error));
  }

  static void setStrides(int64_t (&strides)[3]) {
    strides[0] = TOKENS * HEADS * HEAD_DIM;
    strides[1] = HEADS * HEAD_DIM;
    strides[2] = HEAD_DIM;
  }

  void *uploaded(const void *data, int64_t bytes) {
    void *memory = buffer(bytes);
    if (ok()) step(l.upload(stream, memory, data, static_cast<uint64_t>(bytes), &error));
    return memory;
  }

  const float *floats(int64_t count) {
    std::vector<float> data(static_cast<size_t>(count));
    for (float &number : data) number = std::uniform_real_distribution<float>(-1, 1)(random_);
    return static_cast<const float *>(uploaded(data.data(), count * 4));
  }

  const void *bf16s(int64_t count) {
    std::vector<uint16_t> data(static_cast<size_t>(count));
    for (uint16_t &code : data) {
      const float number = std::uniform_real_distribution<float>(-1, 1)(random_);
      uint32_t bits;
      memcpy(&bits, &number, sizeof bits);
      code = static_cast<uint16_t>(bits >> 16);
    }
    return uploaded(data.data(), count * 2);
  }

  template <class Fn> const int32_t *integers(int64_t count, Fn fn) {
    std::vector<int32_t> data;
    for (int64_t i = 0; i < count; i++) data.push_back(static_cast<int32_t>(fn(i)));
    return static_cast<const int32_t *>(uploaded(data.data(), count * 4));
  }

  static void append(Bytes &all, const void *memory, int64_t bytes) {
    const uint8_t *begin = static_cast<const uint8_t *>(memory);
    all.insert(all.end(), begin, begin + bytes);
  }

  static constexpr int64_t ROWS = BATCH * TOKENS * HEADS;
  std::mt19937 random_{1};
  std::vector<void *> blocks_;
  std::vector<pmla_plan> plans_;
  Made decode_, sparseDecode_, sparsePrefill_, appendKv_, mergeStates_, copyPages_;
  void *cache_ = nullptr;
  const float *latent_, *ropeKey_, *table_, *q32_, *kv_, *sink_, *outs_, *lses_;
  const int32_t *slots_, *lengths_, *blockTable_, *indices_, *pages_;
  const void *q_;
  static constexpr int64_t WIDE = ROWS * VALUE_DIM;
  /** out and lse of decode and sparse decode; out, max_logits and lse of prefill; out and lse of merge. */
  std::vector<Result> results_{Result(WIDE * 2), Result(ROWS * 4), Result(WIDE * 2),
                               Result(ROWS * 4), Result(WIDE * 4), Result(ROWS * 4),
                               Result(ROWS * 4), Result(WIDE * 4), Result(ROWS * 4)};
};

} // namespace polymla::cpu::test
