/*
 * polymla backend ABI, version 1.
 *
 * A backend is a shared library that exports one function, `pmla_library_v1`, which hands out one table of functions.
 * The host (polymla's Node-API bridge, or any other program) validates every problem, owns all memory, computes
 * schedules and keeps handles alive; a library opens devices, moves bytes, orders work on streams and launches
 * kernels. It knows nothing of Node.js. What a vendor's library uses is what polymla's own libraries use.
 *
 * Versions. An incompatible change is a new major version, which is a new symbol name. A compatible one appends
 * members to a struct and raises the minor version. Every struct that crosses the boundary begins with `size`, set by
 * whoever made it to the `sizeof` it was compiled with, and is read through PMLA_HAS or pmla_read: members beyond
 * `size` do not exist, members unknown to the reader must be zero. Never compare sizes for equality. Enum values are
 * only ever appended; a library answers PMLA_UNSUPPORTED to one it does not know.
 *
 * Calls. Every call that can fail returns a status and fills the caller's `pmla_error`, which may be NULL. No exception,
 * signal handler, exit, abort or output on stdout may leave a library. Members marked "optional" may be NULL.
 *
 * Threads. All functions may be called from any thread and at the same time; but one stream, plan or graph is used by
 * one thread at a time, and launches of one plan or graph never overlap on the device. A library saves and restores
 * per-thread state of its runtime, such as the current device. Except where it says so, no function waits for device
 * work.
 *
 * Ownership. The host owns all device memory: a library allocates nothing of a problem's size outside `alloc`, and says
 * in `pmla_fit` how much scratch it wants. Handles are the library's. The host frees a stream, event, plan, graph or
 * memory only when all work enqueued before that could touch it has finished or failed, so a library need not count
 * references; NULL is never passed. Argument structs, and host arrays they point to, are the caller's again when a
 * call returns. Calls without work, of 0 bytes or an empty batch, are not made.
 *
 * Failures of enqueued work are sticky: the stream's later work is dropped and its later events fail, with a message
 * that names the kernel and the problem. A stream that waits on a failed event has failed. PMLA_DEVICE_LOST means that
 * every handle of the device is dead, and only the free functions and `close` are called from then on.
 *
 * Exit. Libraries are never unloaded. A process may exit while work is under way: global state must not need
 * destructors. Handles are not valid in a forked child.
 */
#ifndef POLYMLA_BACKEND_H
#define POLYMLA_BACKEND_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PMLA_ABI_MAJOR 1u
#define PMLA_ABI_MINOR 0u

/* Whether the struct at `p`, of type `type`, was made by someone who knew `member`. */
#define PMLA_HAS(type, p, member) \
  ((size_t)(p)->size >= offsetof(type, member) + sizeof(((const type *)0)->member))

/* ---- Status and errors ------------------------------------------------------------------------------------------ */

typedef int32_t pmla_status;
enum {
  PMLA_OK = 0,
  /* The event has not happened yet; only from `event_query`. */
  PMLA_NOT_READY = 1,
  /* An argument breaks a rule of this header. The host is at fault. */
  PMLA_INVALID_ARGUMENT = 2,
  /* Legal, but this library or device cannot do it; the message says why. */
  PMLA_UNSUPPORTED = 3,
  PMLA_OUT_OF_MEMORY = 4,
  /* There is no device of that index, or none at all. */
  PMLA_NO_DEVICE = 5,
  /* The device's driver or firmware is older than the library needs. */
  PMLA_DRIVER_TOO_OLD = 6,
  /* The device is there but cannot be used now: wrong architecture, busy, no permission. */
  PMLA_DEVICE_UNAVAILABLE = 7,
  /* The device failed; every handle on it is dead. */
  PMLA_DEVICE_LOST = 8,
  /* The call cannot be part of a graph. */
  PMLA_CAPTURE_ILLEGAL = 9,
  /* A broken invariant inside the library. */
  PMLA_INTERNAL = 10,
  /* Host and library do not share a version of this header. */
  PMLA_ABI_MISMATCH = 11
};

/*
 * Filled by a failing call, untouched by a successful one. Here and in every other array, text is UTF-8, NUL-terminated
 * and cut where it is too long.
 */
typedef struct {
  uint32_t size;
  pmla_status status;
  /* The runtime's own error number, 0 when there is none. */
  int64_t native_code;
  /* What was expected and what was found, one sentence without a full stop. */
  char message[256];
  /* What to do about it, one sentence without a full stop; may be empty. */
  char fix[176];
} pmla_error;

/* ---- Problems: what a plan is made for. Semantics are those of the types of the same name in @polymla/core. ------- */

enum pmla_op {
  PMLA_OP_DECODE = 1,
  PMLA_OP_SPARSE_DECODE = 2,
  PMLA_OP_SPARSE_PREFILL = 3,
  PMLA_OP_APPEND_KV = 4,
  PMLA_OP_MERGE_STATES = 5,
  PMLA_OP_COPY_PAGES = 6
};

/* Element types. E4M3 is OCP FP8: 4 exponent bits, 3 mantissa bits, no infinity, NaN = 0x7f and 0xff. */
enum pmla_dtype { PMLA_BF16 = 1, PMLA_F16 = 2, PMLA_F32 = 3, PMLA_E4M3 = 4 };

/*
 * What a token of a KV cache looks like. The first four hold plain numbers, [page_size, heads_kv, head_dim] per page.
 * FP8_656: 512 e4m3, 4 fp32 scales (one per 128), 64 bf16 of rope; head_dim 576, one KV head.
 * FP8_584: a page is page_size × { 448 e4m3, 64 bf16 of rope }, then page_size × { 7 e8m0 scales (one per 64), a pad
 * byte }; head_dim 512, one KV head. Both are FlashMLA's (9241ae3, FP8KVCacheLayout).
 */
enum pmla_kv_format {
  PMLA_KV_BF16 = 1,
  PMLA_KV_F16 = 2,
  PMLA_KV_F32 = 3,
  PMLA_KV_E4M3 = 4,
  PMLA_KV_FP8_656 = 5,
  PMLA_KV_FP8_584 = 6
};

/* A paged KV cache. Part of other structs, so it never grows. */
typedef struct {
  uint32_t format; /* pmla_kv_format */
  uint32_t reserved;
  int64_t pages;
  /* Tokens per page, ≥ 1. */
  int64_t page_size;
  int64_t heads_kv;
  /* Numbers per token and KV head after dequantisation; a multiple of 16. */
  int64_t head_dim;
  /* From page to page, in elements of the format (bytes for the packed ones); at least the length of a page. */
  int64_t page_stride;
} pmla_kv_layout;

/* The beginning of every problem struct. */
typedef struct {
  uint32_t size;
  uint32_t op; /* pmla_op; tells which struct this is */
} pmla_problem;

/* Which keys query token s of S sees in a request of length n. */
enum pmla_mask {
  PMLA_MASK_NONE = 0,
  /* j < n − (S − 1 − s) */
  PMLA_MASK_CAUSAL = 1,
  /* j < n − S, and key n − S + t where bit t of row s of the request's tree mask is set. */
  PMLA_MASK_TREE = 2
};

/*
 * Dense decode. With s[j] = softmax_scale · descale_q · descale_k · q · k[j] over visible keys j: lse = ln Σ exp(s[j])
 * and out = Σ exp(s[j] − lse) · k[j][0 .. value_dim). Nothing visible: out = 0, lse = +Infinity. Head h reads KV head
 * h / (heads / heads_kv). Memory of tokens past a request's length may hold NaN and must not reach a result.
 */
typedef struct {
  uint32_t size;
  uint32_t op; /* PMLA_OP_DECODE */
  uint32_t q_dtype;
  uint32_t out_dtype; /* not E4M3 */
  uint32_t mask;      /* pmla_mask */
  uint32_t reserved;
  int64_t max_batch;
  /* Query tokens per request, ≥ 1. */
  int64_t query_tokens;
  /* Query heads, a multiple of cache.heads_kv. */
  int64_t heads;
  /* Width of values and outputs, ≤ cache.head_dim; a multiple of 16. */
  int64_t value_dim;
  /* Columns of the block table. */
  int64_t block_table_width;
  /* Pages per split, or 0: see `pmla_schedule_args`. */
  int64_t split_pages;
  pmla_kv_layout cache; /* any format */
  double softmax_scale;
} pmla_decode_problem;

enum pmla_sparse_flags {
  /* Launches bring how many leading indices count, per request (prefill: per query token). */
  PMLA_SPARSE_TOPK_LENGTH = 1,
  /* There is a second cache under the same softmax. */
  PMLA_SPARSE_EXTRA = 2,
  PMLA_SPARSE_EXTRA_TOPK_LENGTH = 4,
  /* One more logit per head without a value: out ·= 1 / (1 + exp(sink − lse)); lse excludes it. */
  PMLA_SPARSE_SINK = 8
};

/*
 * Decode over the cache tokens that indices name (page · page_size + offset), then those of the extra cache. An index
 * outside the cache is invisible; one that occurs twice counts twice. All heads share indices; heads_kv is 1.
 */
typedef struct {
  uint32_t size;
  uint32_t op; /* PMLA_OP_SPARSE_DECODE */
  uint32_t q_dtype;
  uint32_t out_dtype;
  uint32_t flags; /* pmla_sparse_flags */
  uint32_t reserved;
  int64_t max_batch;
  int64_t query_tokens;
  int64_t heads;
  int64_t value_dim;
  int64_t topk;
  int64_t extra_topk;
  int64_t split_pages; /* a page of the schedule is 64 indices */
  pmla_kv_layout cache;
  pmla_kv_layout extra_cache; /* zero without PMLA_SPARSE_EXTRA; same head_dim */
  double softmax_scale;
} pmla_sparse_decode_problem;

/* Attention over gathered rows of an unpaged kv; an index outside [0, keys) is invisible. */
typedef struct {
  uint32_t size;
  uint32_t op;    /* PMLA_OP_SPARSE_PREFILL */
  uint32_t dtype; /* of q and kv */
  uint32_t out_dtype;
  uint32_t flags; /* PMLA_SPARSE_TOPK_LENGTH, PMLA_SPARSE_SINK */
  uint32_t reserved;
  int64_t query_tokens; /* ≥ 0, all requests together */
  int64_t heads;
  int64_t keys;
  int64_t head_dim;
  int64_t value_dim;
  int64_t topk;
  double softmax_scale;
} pmla_sparse_prefill_problem;

enum pmla_rotary {
  /* The keys come rotated. */
  PMLA_ROTARY_NONE = 0,
  /* Pairs (2i, 2i + 1). */
  PMLA_ROTARY_INTERLEAVED = 1,
  /* Pairs (i, i + rope_dim / 2). */
  PMLA_ROTARY_NEOX = 2
};

/*
 * Writes tokens [latent | rotate(rope_key)] into the cache, quantised to its format. rotate turns a pair (x, y) into
 * (x·c − y·s, y·c + x·s), with cosine c and sine s of pair i in the rotary table. Scales of packed formats are powers
 * of two: 656, the largest magnitude of the group / 448 rounded up; 584, max(that magnitude, 1e-4) / 448 rounded up.
 */
typedef struct {
  uint32_t size;
  uint32_t op;     /* PMLA_OP_APPEND_KV */
  uint32_t dtype;  /* of latent and rope_key */
  uint32_t rotary; /* pmla_rotary */
  int64_t max_tokens;
  int64_t rope_dim; /* even, may be 0 */
  int64_t table_length;
  pmla_kv_layout cache;
} pmla_append_kv_problem;

/*
 * With L the largest lse of a row's parts and w[p] = exp(lse[p] − L): out = Σ w[p]·out[p] / Σ w[p], lse = L + ln Σ w[p].
 * A part whose lse is ±Infinity or NaN is empty, whatever its out holds; all empty: out = 0, lse = +Infinity. Parts
 * are added in order.
 */
typedef struct {
  uint32_t size;
  uint32_t op;    /* PMLA_OP_MERGE_STATES */
  uint32_t dtype; /* of the partial outs */
  uint32_t out_dtype;
  int64_t parts;
  int64_t batch;
  int64_t query_tokens;
  int64_t heads;
  int64_t value_dim;
} pmla_merge_states_problem;

/* Copies whole pages within a cache, byte for byte, without what lies between pages. */
typedef struct {
  uint32_t size;
  uint32_t op; /* PMLA_OP_COPY_PAGES */
  int64_t max_pairs;
  pmla_kv_layout cache;
} pmla_copy_pages_problem;

/* ---- What a library answers to a problem ------------------------------------------------------------------------- */

enum pmla_grade {
  /* Cannot do it: `why` says which property is in the way. */
  PMLA_FIT_NO = 0,
  PMLA_FIT_CORRECT = 1,
  /* There is a kernel made for this problem. */
  PMLA_FIT_TUNED = 2
};

enum pmla_fit_flags {
  /* `schedule` serves this problem, so lengths may live on the device. */
  PMLA_FIT_SCHEDULES = 1
};

/* `size` is the host's; everything else is the library's to fill. */
typedef struct {
  uint32_t size;
  uint32_t grade; /* pmla_grade */
  /* Scratch that every launch of the plan gets, aligned to 256 bytes, holding anything; launches get NULL for 0. */
  uint64_t workspace_bytes;
  /* Rows of the tile schedule that launches get; 0: the library wants no schedule. Decode and sparse decode only. */
  int64_t max_partitions;
  /* Cost of a piece of work beside its pages, in pages; what the host schedules with where `choose` is NULL. */
  int64_t fixed_overhead;
  uint32_t flags; /* pmla_fit_flags */
  uint32_t reserved;
  /* For PMLA_FIT_NO: one sentence without a full stop that names property, value and limit. */
  char why[208];
} pmla_fit;

/* The size of one step's work. */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t batch;
  /* Pages of all requests together, a request of length 0 counting as one. */
  int64_t total_pages;
  int64_t longest_pages;
} pmla_load;

/* What the host schedules a step with. */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t partitions; /* 1 … max_partitions */
  int64_t fixed_overhead;
} pmla_choice;

/* ---- Launch arguments. Pointers are device memory, aligned to their element unless said otherwise. Strides count
 * elements and are ≥ 0; the innermost is 1. Tensors without strides are contiguous. Optional outputs are NULL. --------- */

/*
 * A tile schedule, as computeSchedule of packages/core/src/scheduler/schedule.ts defines it (after FlashMLA 9241ae3).
 * A row is a partition: { begin_request, end_request (inclusive), begin_page, end_page (exclusive), begin_split,
 * first_is_split, last_is_split, 0 }; begin_request = batch in an idle one. num_splits holds batch + 1 prefix sums of
 * splits per request. Both are NULL for a library that wants no schedule. Part of other structs, so it never grows.
 */
typedef struct {
  const int32_t *rows;       /* [max_partitions, 8] */
  const int32_t *num_splits; /* [max_batch + 1] */
} pmla_schedule;

/* Computes the schedule from lengths on the device, bit for bit as the host would (int64 sums). */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t batch;
  /* Decode: sequence lengths. Sparse decode: topk lengths, NULL for all topk; with extra_lengths, by core's sparseLengths. */
  const int32_t *lengths; /* [max_batch] */
  const int32_t *extra_lengths;
  int64_t partitions;
  int64_t fixed_overhead;
  /* Tokens per page of the schedule. */
  int64_t page_size;
  /* Every request is cut every that many pages; 0: cut where partitions end. */
  int64_t split_pages;
  int32_t *rows;       /* [max_partitions, 8], written; those from `partitions` on become idle */
  int32_t *num_splits; /* [max_batch + 1], written */
} pmla_schedule_args;

/*
 * What only the device holds is unchecked: a page id outside the cache makes its keys invisible, a length counts as
 * clamped to [0, block_table_width · page_size].
 */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t batch;           /* 1 … max_batch */
  const void *q;           /* [batch, query_tokens, heads, head_dim] */
  int64_t q_strides[3];    /* batch, token, head */
  const void *cache;
  const int32_t *seqlens;     /* [max_batch] */
  const int32_t *block_table; /* [max_batch, block_table_width]; entries past a request's length are garbage */
  const int32_t *tree_mask;   /* [max_batch, query_tokens, ceil(query_tokens / 32)]; NULL unless PMLA_MASK_TREE */
  void *out;                  /* [batch, query_tokens, heads, value_dim] */
  float *lse;                 /* [batch, heads, query_tokens]; optional */
  double descale_q;           /* of an e4m3 q, else 1 */
  double descale_k;           /* of an e4m3 cache, else 1 */
  pmla_schedule schedule;
  int64_t split_pages; /* pages per split of this schedule; 0 when it is balanced */
  void *workspace;
} pmla_decode_args;

typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t batch;
  const void *q;        /* [batch, query_tokens, heads, head_dim] */
  int64_t q_strides[3]; /* batch, token, head */
  const void *cache;
  const int32_t *indices;           /* [batch, query_tokens, topk] */
  const int32_t *topk_length;       /* [max_batch] */
  const void *extra_cache;
  const int32_t *extra_indices;     /* [batch, query_tokens, extra_topk] */
  const int32_t *extra_topk_length; /* [max_batch] */
  const float *sink;                /* [heads] */
  void *out;                        /* [batch, query_tokens, heads, value_dim] */
  float *lse;                       /* [batch, heads, query_tokens]; optional */
  double descale_k;
  pmla_schedule schedule;
  int64_t split_pages;
  void *workspace;
} pmla_sparse_decode_args;

typedef struct {
  uint32_t size;
  uint32_t reserved;
  const void *q;        /* [query_tokens, heads, head_dim] */
  int64_t q_strides[2]; /* token, head */
  const void *kv;       /* [keys, head_dim] */
  int64_t kv_stride;
  const int32_t *indices;     /* [query_tokens, topk] */
  const int32_t *topk_length; /* [query_tokens] */
  const float *sink;          /* [heads] */
  void *out;                  /* [query_tokens, heads, value_dim] */
  float *max_logits;          /* [query_tokens, heads], largest scaled logit, −Infinity for none; optional */
  float *lse;                 /* [query_tokens, heads]; optional */
  void *workspace;
} pmla_sparse_prefill_args;

typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t tokens;              /* 1 … max_tokens */
  const void *latent;          /* [tokens, heads_kv, head_dim − rope_dim] */
  int64_t latent_strides[2];   /* token, head */
  const void *rope_key;        /* [tokens, heads_kv, rope_dim] */
  int64_t rope_key_strides[2]; /* token, head */
  /* [tokens]: page · page_size + offset; outside the cache: skipped. Of tokens that share a slot any one may remain. */
  const int32_t *slots;
  const int32_t *positions;    /* [tokens]: row of the rotary table; outside of it: the token is skipped */
  const float *rotary_table;   /* [table_length, rope_dim]: rope_dim / 2 cosines, then as many sines */
  void *cache;
  double descale_k; /* an e4m3 cache stores x / descale_k; else 1 */
  void *workspace;
} pmla_append_kv_args;

typedef struct {
  uint32_t size;
  uint32_t reserved;
  const void *outs;        /* [parts, batch, query_tokens, heads, value_dim] */
  int64_t outs_strides[4]; /* part, batch, token, head */
  const float *lses;       /* [parts, batch, heads, query_tokens] */
  int64_t lses_strides[3]; /* part, batch, head */
  void *out;               /* [batch, query_tokens, heads, value_dim] */
  float *lse;              /* [batch, heads, query_tokens]; optional */
  void *workspace;
} pmla_merge_states_args;

typedef struct {
  uint32_t size;
  uint32_t reserved;
  int64_t pairs;        /* 1 … max_pairs */
  void *cache;
  const int32_t *pages; /* [pairs, 2]: from, to; either outside the cache: skipped. No target is a source or another target */
  void *workspace;
} pmla_copy_pages_args;

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

typedef struct pmla_device_s *pmla_device;
typedef struct pmla_stream_s *pmla_stream;
typedef struct pmla_event_s *pmla_event;
typedef struct pmla_graph_s *pmla_graph;
typedef struct pmla_plan_s *pmla_plan;

enum pmla_device_flags {
  /* `stream_new` takes a native stream (cudaStream_t, hipStream_t, …) that somebody else owns and keeps alive. */
  PMLA_DEVICE_ADOPTS_STREAMS = 1,
  /* Launches, fills and copies take device addresses that somebody else allocated and keeps alive. */
  PMLA_DEVICE_ADOPTS_MEMORY = 2
};

typedef struct {
  uint32_t size;
  /* PMLA_OK, or why the device cannot be used; then `reason` and `fix` say it in words. */
  pmla_status status;
  /* Which device `auto` prefers, highest first: CPUs 1–99, accelerators from 100. */
  int32_t score;
  uint32_t flags; /* pmla_device_flags */
  uint64_t memory_bytes; /* 0: unknown */
  char name[64];
  /* Architecture or instruction set, such as "sm_90" or "avx512-bf16". */
  char arch[32];
  char reason[208];
  char fix[112];
} pmla_device_info;

/*
 * A setting of a device, such as { "threads", "2" }. Both are UTF-8. An unknown key or value is PMLA_INVALID_ARGUMENT.
 * Element of an array, so it never grows.
 */
typedef struct {
  const char *key;
  const char *value;
} pmla_option;

/* What a device can do at best, as measured now; 0: not measured. */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  double read_bytes_per_s; /* memory that no cache holds */
  /* Multiply-adds, each counted as two, summed in fp32 by the unit that the kernels use for operands of that type. */
  double f32_flops_per_s;
  double bf16_flops_per_s;
  double f16_flops_per_s;
} pmla_peaks;

/* Levels of log messages. */
enum pmla_log_level { PMLA_LOG_DEBUG = 0, PMLA_LOG_INFO = 1, PMLA_LOG_WARN = 2, PMLA_LOG_ERROR = 3 };

/* What the host tells a library; valid as long as the process. */
typedef struct {
  uint32_t size;
  uint32_t abi_major;
  uint32_t abi_minor;
  /* The process that loads the library. In another one, a forked child, handles are not valid. */
  uint32_t pid;
  /* Optional; any thread. One line of UTF-8 without its end, the caller's again on return. */
  void (*log)(void *context, int32_t level, const char *message);
  void *log_context;
} pmla_host;

/* ---- The library ------------------------------------------------------------------------------------------------- */

typedef struct {
  uint32_t size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved;
  /* Short and lower-case, such as "cpu"; and the library's own version. */
  const char *name;
  const char *version;

  /* Number of devices, unusable ones included. None, and the reason is known: PMLA_NO_DEVICE or PMLA_DRIVER_TOO_OLD. */
  pmla_status (*device_count)(int32_t *count, pmla_error *error);
  pmla_status (*device_info)(int32_t index, pmla_device_info *info, pmla_error *error);
  /* May wait. A device may be opened any number of times; the handles share nothing but the hardware. */
  pmla_status (*open)(int32_t index, const pmla_option *options, int32_t option_count, pmla_device *device,
                      pmla_error *error);
  /* Waits for all work. Called last, when everything else of the device is freed. */
  void (*close)(pmla_device device);
  /* Optional. Bytes of device memory in all, and free now. */
  pmla_status (*memory_info)(pmla_device device, uint64_t *total, uint64_t *available, pmla_error *error);
  /* Uninitialised device memory, aligned to 256 bytes; bytes > 0. */
  pmla_status (*alloc)(pmla_device device, uint64_t bytes, void **memory, pmla_error *error);
  void (*release)(pmla_device device, void *memory);

  /* native: NULL for a stream of the library's own; else see PMLA_DEVICE_ADOPTS_STREAMS. */
  pmla_status (*stream_new)(pmla_device device, void *native, pmla_stream *stream, pmla_error *error);
  void (*stream_free)(pmla_stream stream);
  /* Copies host memory to the device. `source` is the caller's again on return; a library stages what it cannot copy
   * at once (pinned memory, where that is faster). */
  pmla_status (*upload)(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error);
  /* Copies device memory to the host. `target` is written at any time until a later event of the stream has happened. */
  pmla_status (*download)(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error);
  pmla_status (*fill)(pmla_stream stream, void *target, uint8_t value, uint64_t bytes, pmla_error *error);
  /* Within the device; the ranges do not overlap. */
  pmla_status (*copy)(pmla_stream stream, void *target, const void *source, uint64_t bytes, pmla_error *error);

  /* An event is recorded before anything else is asked of it. */
  pmla_status (*event_new)(pmla_device device, pmla_event *event, pmla_error *error);
  void (*event_free)(pmla_event event);
  /* Marks the end of what is enqueued now. Recording again forgets the last recording, which has happened by then. */
  pmla_status (*event_record)(pmla_event event, pmla_stream stream, pmla_error *error);
  /* Holds back later work of `stream` until the event, recorded on a stream of this device, has happened. */
  pmla_status (*event_wait)(pmla_event event, pmla_stream stream, pmla_error *error);
  /* PMLA_OK: it has happened; PMLA_NOT_READY; anything else: the work before it failed, and that is how. */
  pmla_status (*event_query)(pmla_event event, pmla_error *error);
  /* Device time in microseconds between two events that have happened. */
  pmla_status (*event_elapsed)(pmla_event earlier, pmla_event later, double *microseconds, pmla_error *error);
  /* Optional; without it the host polls. Calls `notify` exactly once, from any thread and maybe before returning, when
   * the event has happened or failed; never when this call fails. `notify` is short and calls nothing of this table.
   * Leave it NULL where the runtime has only callbacks that run in the stream: they come late, and after a failure never. */
  pmla_status (*event_notify)(pmla_event event, void (*notify)(void *context), void *context, pmla_error *error);

  /* Optional, all four or none. Between begin and end, launches, `schedule`, `fill` and `copy` on the stream are collected
   * instead of executed, and nothing else is called on it; other calls for the device go on, also from this thread
   * (a CUDA-like runtime captures in its relaxed mode).
   * `graph_launch` replays them with the addresses of then. Once a plan or memory in a graph is freed, the graph is not
   * launched again, only freed. */
  pmla_status (*capture_begin)(pmla_stream stream, pmla_error *error);
  /* On failure the stream is usable again and *graph is untouched. */
  pmla_status (*capture_end)(pmla_stream stream, pmla_graph *graph, pmla_error *error);
  pmla_status (*graph_launch)(pmla_graph graph, pmla_stream stream, pmla_error *error);
  void (*graph_free)(pmla_graph graph);

  /* Decides on exactly this problem. `grade` PMLA_FIT_NO is an answer, not a failure; so is the status PMLA_UNSUPPORTED,
   * for a problem with an enum value that the library does not know. */
  pmla_status (*fit)(pmla_device device, const pmla_problem *problem, pmla_fit *fit, pmla_error *error);
  /* Makes what all launches share, for a problem that fits. May take long, for a library that compiles. */
  pmla_status (*plan_new)(pmla_device device, const pmla_problem *problem, pmla_plan *plan, pmla_error *error);
  void (*plan_free)(pmla_plan plan);
  /* Optional. Asked once per step, on the host. */
  pmla_status (*choose)(pmla_plan plan, const pmla_load *load, pmla_choice *choice, pmla_error *error);
  /* Optional: see PMLA_FIT_SCHEDULES. */
  pmla_status (*schedule)(pmla_plan plan, pmla_stream stream, const pmla_schedule_args *args, pmla_error *error);

  /* Launches; each enqueues one problem. Optional: without one, the host refuses its op. Strides that the device cannot
   * take are PMLA_UNSUPPORTED, before anything is enqueued. */
  pmla_status (*decode)(pmla_plan plan, pmla_stream stream, const pmla_decode_args *args, pmla_error *error);
  pmla_status (*sparse_decode)(pmla_plan plan, pmla_stream stream, const pmla_sparse_decode_args *args,
                               pmla_error *error);
  pmla_status (*sparse_prefill)(pmla_plan plan, pmla_stream stream, const pmla_sparse_prefill_args *args,
                                pmla_error *error);
  pmla_status (*append_kv)(pmla_plan plan, pmla_stream stream, const pmla_append_kv_args *args, pmla_error *error);
  pmla_status (*merge_states)(pmla_plan plan, pmla_stream stream, const pmla_merge_states_args *args,
                              pmla_error *error);
  pmla_status (*copy_pages)(pmla_plan plan, pmla_stream stream, const pmla_copy_pages_args *args, pmla_error *error);

  /* Optional. Measures for some hundred milliseconds; waits. Called with no work enqueued. */
  pmla_status (*measure_peaks)(pmla_device device, pmla_peaks *peaks, pmla_error *error);
  /* Optional. An interface outside this header, by name and version; NULL when there is none. */
  const void *(*extension)(const char *name, uint32_t version);
} pmla_library;

/*
 * An extension, version 1: `const char *`, one line of UTF-8 that names driver and runtime with their versions, for
 * reports.
 */
#define PMLA_EXTENSION_DRIVER "polymla.driver"

/*
 * The only symbol a library exports; its name carries the major version. Sets *library to a table that lives as long as
 * the process. May be called more than once, with the same answer; the first host is the one that is logged to. Touches
 * no device.
 */
#define PMLA_ENTRY "pmla_library_v1"
typedef pmla_status (*pmla_entry)(const pmla_host *host, const pmla_library **library, pmla_error *error);

#if defined(_WIN32)
#define PMLA_EXPORT __declspec(dllexport)
#else
#define PMLA_EXPORT __attribute__((visibility("default")))
#endif
PMLA_EXPORT pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error);

/*
 * An ELF note that tells the ABI version of a library without running any of its code: owner "polymla", type 1, two
 * words, major and minor. Put `PMLA_ELF_NOTE;` into one source file. The host refuses an ELF library without it.
 */
#if defined(__ELF__)
typedef struct {
  uint32_t name_size, desc_size, type;
  char name[8];
  uint32_t major, minor;
} pmla_elf_note;
#define PMLA_ELF_NOTE                                                                                       \
  __attribute__((section(".note.polymla"), used, aligned(4))) static const pmla_elf_note pmla_elf_note_v1 = \
      {8, 8, 1, "polymla", PMLA_ABI_MAJOR, PMLA_ABI_MINOR}
#else
#define PMLA_ELF_NOTE typedef int pmla_no_elf_note
#endif

/* ---- Helpers ------------------------------------------------------------------------------------------------------ */

/*
 * Reads the sized struct `from` into `to`, a struct of the same kind that takes `to_size` bytes here: members that the
 * sender did not know become zero. PMLA_INVALID_ARGUMENT when `from` is NULL or claims fewer than `least` bytes or more
 * than 64 KiB; PMLA_UNSUPPORTED when it has members unknown here that are not zero. `to` then holds anything.
 */
static inline pmla_status pmla_read(void *to, size_t to_size, const void *from, size_t least) {
  uint32_t size;
  size_t i;
  if (from == NULL) return PMLA_INVALID_ARGUMENT;
  memcpy(&size, from, sizeof size);
  if (size < least || size < sizeof size || size > 65536u) return PMLA_INVALID_ARGUMENT;
  memset(to, 0, to_size);
  memcpy(to, from, size < to_size ? size : to_size);
  for (i = to_size; i < size; i++) {
    if (((const unsigned char *)from)[i] != 0) return PMLA_UNSUPPORTED;
  }
  return PMLA_OK;
}

/* Writes the sized struct `from`, `from_size` bytes here, into `to` as far as the receiver knows it; keeps its `size`. */
static inline pmla_status pmla_write(void *to, const void *from, size_t from_size) {
  uint32_t size;
  if (to == NULL) return PMLA_INVALID_ARGUMENT;
  memcpy(&size, to, sizeof size);
  if (size < sizeof size) return PMLA_INVALID_ARGUMENT;
  if (from_size > size) from_size = size;
  memcpy((unsigned char *)to + sizeof size, (const unsigned char *)from + sizeof size, from_size - sizeof size);
  return PMLA_OK;
}

#ifdef __cplusplus
}
#endif
#endif
