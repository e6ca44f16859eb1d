/*
 * Times ggml's flash attention (llama.cpp, node-llama-cpp's build of it) on one absorbed MLA decode: h query heads of 576
 * over kv shared keys, the values being the first 512 numbers of the keys. Prints one JSON line per problem.
 *
 *   ggml FOLDER CPU_LIBRARY THREADS TYPE(f16|bf16|f32) H:KV …
 *
 * The declarations below are the part of ggml's public C interface that is used; nothing is linked.
 */
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int HEAD_DIM = 576;
constexpr int VALUE_DIM = 512;
constexpr int RUNS = 15;
constexpr int CHECKED_HEADS = 4;

struct InitParams {
  size_t memory;
  void *buffer;
  bool noAlloc;
};
enum Type { F32 = 0, F16 = 1, BF16 = 30 };

void *base;
template <typename F> F *symbol(const char *name) {
  void *found = dlsym(base, name);
  if (!found) {
    std::fprintf(stderr, "ggml has no %s\n", name);
    std::exit(1);
  }
  return reinterpret_cast<F *>(found);
}

uint16_t toF16(float value) { return __builtin_bit_cast(uint16_t, static_cast<_Float16>(value)); }
float fromF16(uint16_t bits) { return static_cast<float>(__builtin_bit_cast(_Float16, bits)); }
uint16_t toBf16(float value) {
  uint32_t bits = __builtin_bit_cast(uint32_t, value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
float fromBf16(uint16_t bits) { return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16); }

/** Largest error of the first heads' outputs against float64 on the keys as stored, over the largest output. */
double error(const std::vector<float> &q, const std::vector<float> &keys, const float *out, int kv, float scale) {
  double largest = 0, worst = 0;
  for (int h = 0; h < CHECKED_HEADS; h++) {
    std::vector<double> score(kv);
    double top = -INFINITY, total = 0;
    for (int j = 0; j < kv; j++) {
      for (int d = 0; d < HEAD_DIM; d++) score[j] += double(q[h * HEAD_DIM + d]) * keys[size_t(j) * HEAD_DIM + d];
      score[j] *= scale;
      top = std::max(top, score[j]);
    }
    for (double &s : score) total += s = std::exp(s - top);
    for (int d = 0; d < VALUE_DIM; d++) {
      double sum = 0;
      for (int j = 0; j < kv; j++) sum += score[j] * keys[size_t(j) * HEAD_DIM + d];
      largest = std::max(largest, std::fabs(sum / total));
      worst = std::max(worst, std::fabs(sum / total - out[h * VALUE_DIM + d]));
    }
  }
  return worst / largest;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 6) return std::fprintf(stderr, "usage: ggml FOLDER CPU_LIBRARY THREADS TYPE H:KV …\n"), 2;
  std::string folder = argv[1];
  base = dlopen((folder + "/libggml-base.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  void *core = dlopen((folder + "/libggml.v0.5.0.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!core) core = dlopen((folder + "/libggml.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!base || !core) return std::fprintf(stderr, "%s\n", dlerror()), 1;

  auto load = reinterpret_cast<void *(*)(const char *)>(dlsym(core, "ggml_backend_load"));
  void *reg = load ? load((folder + "/" + argv[2]).c_str()) : nullptr;
  if (!reg) return std::fprintf(stderr, "cannot load %s\n", argv[2]), 1;
  void *device = symbol<void *(void *, size_t)>("ggml_backend_reg_dev_get")(reg, 0);
  void *backend = symbol<void *(void *, const char *)>("ggml_backend_dev_init")(device, nullptr);
  auto setThreads = reinterpret_cast<void (*)(void *, int)>(
      symbol<void *(void *, const char *)>("ggml_backend_reg_get_proc_address")(reg, "ggml_backend_set_n_threads"));
  int threads = std::atoi(argv[3]);
  setThreads(backend, threads);

  auto tensor = symbol<void *(void *, int, int64_t, int64_t, int64_t, int64_t)>("ggml_new_tensor_4d");
  auto set = symbol<void(void *, const void *, size_t, size_t)>("ggml_backend_tensor_set");
  Type type = !std::strcmp(argv[4], "f16") ? F16 : !std::strcmp(argv[4], "bf16") ? BF16 : F32;

  for (int arg = 5; arg < argc; arg++) {
    int h = 0, kv = 0;
    if (std::sscanf(argv[arg], "%d:%d", &h, &kv) != 2 || h < CHECKED_HEADS || kv < 1) {
      return std::fprintf(stderr, "expected H:KV, found %s\n", argv[arg]), 2;
    }
    void *context = symbol<void *(InitParams)>("ggml_init")({size_t(16) << 20, nullptr, true});
    void *q = tensor(context, F32, HEAD_DIM, 1, h, 1);
    void *k = tensor(context, type, HEAD_DIM, kv, 1, 1);
    size_t row = HEAD_DIM * (type == F32 ? 4 : 2);
    void *v = symbol<void *(void *, void *, int64_t, int64_t, int64_t, int64_t, size_t, size_t, size_t, size_t)>(
        "ggml_view_4d")(context, k, VALUE_DIM, kv, 1, 1, row, row * kv, row * kv, 0);
    void *mask = tensor(context, F16, kv, 64, 1, 1);
    float scale = 1 / std::sqrt(float(HEAD_DIM));
    void *out = symbol<void *(void *, void *, void *, void *, void *, float, float, float)>("ggml_flash_attn_ext")(
        context, q, k, v, mask, scale, 0, 0);
    void *graph = symbol<void *(void *)>("ggml_new_graph")(context);
    symbol<void(void *, void *)>("ggml_build_forward_expand")(graph, out);
    void *buffer = symbol<void *(void *, void *)>("ggml_backend_alloc_ctx_tensors")(context, backend);
    if (!buffer) return std::fprintf(stderr, "out of memory\n"), 1;

    std::mt19937 random(0);
    std::normal_distribution<float> normal;
    std::vector<float> queries(size_t(h) * HEAD_DIM), keys(size_t(kv) * HEAD_DIM);
    for (float &x : queries) x = normal(random);
    std::vector<uint16_t> half(keys.size());
    for (size_t i = 0; i < keys.size(); i++) {
      float x = normal(random);
      half[i] = type == BF16 ? toBf16(x) : toF16(x);
      keys[i] = type == F32 ? x : type == BF16 ? fromBf16(half[i]) : fromF16(half[i]);
    }
    set(q, queries.data(), 0, queries.size() * 4);
    set(k, type == F32 ? static_cast<void *>(keys.data()) : half.data(), 0, row * kv);
    std::vector<uint16_t> zeros(size_t(kv) * 64);
    set(mask, zeros.data(), 0, zeros.size() * 2);

    auto compute = symbol<int(void *, void *)>("ggml_backend_graph_compute");
    std::vector<double> seconds;
    for (int run = 0; run < RUNS + 3; run++) {
      auto begin = std::chrono::steady_clock::now();
      if (compute(backend, graph) != 0) return std::fprintf(stderr, "compute failed\n"), 1;
      if (run >= 3) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::sort(seconds.begin(), seconds.end());
    std::vector<float> result(size_t(h) * VALUE_DIM);
    symbol<void(void *, void *, size_t, size_t)>("ggml_backend_tensor_get")(out, result.data(), 0, result.size() * 4);
    double flop = 2.0 * h * kv * (HEAD_DIM + VALUE_DIM);
    std::printf("{\"peer\":\"ggml %s\",\"library\":\"%s\",\"threads\":%d,\"h_q\":%d,\"s_k\":%d,\"us\":%.1f,\"us_min\":%.1f,"
                "\"gflops\":%.1f,\"error\":%.1e}\n",
                argv[4], argv[2], threads, h, kv, seconds[RUNS / 2] * 1e6, seconds[0] * 1e6, flop / seconds[RUNS / 2] / 1e9,
                error(queries, keys, result.data(), kv, scale));
    symbol<void(void *)>("ggml_backend_buffer_free")(buffer);
    symbol<void(void *)>("ggml_free")(context);
  }
}
