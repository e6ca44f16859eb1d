// calls LIBRARY: what one call of a library's table costs the host, without JavaScript: decode and graph_launch of a small
// problem, enqueued 200 at a time without waiting; medians over rounds, in microseconds.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "polymla_backend.h"

namespace {

constexpr int rounds = 60;
constexpr int warmUp = 10;
constexpr int calls = 200;

void require(pmla_status status, const char* what, const pmla_error& error) {
  if (status == PMLA_OK) return;
  std::fprintf(stderr, "%s: %d: %s\n", what, status, error.message);
  std::exit(1);
}

const pmla_library* openLibrary(const char* path) {
  void* const file = dlopen(path, RTLD_NOW);
  const auto entry = file ? reinterpret_cast<pmla_entry>(dlsym(file, PMLA_ENTRY)) : nullptr;
  pmla_host host{};
  host.size = sizeof host;
  host.abi_major = PMLA_ABI_MAJOR;
  const pmla_library* library = nullptr;
  if (entry == nullptr || entry(&host, &library, nullptr) != PMLA_OK) {
    std::fprintf(stderr, "%s: %s\n", path, file ? "no library of this version" : dlerror());
    std::exit(1);
  }
  return library;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "calls LIBRARY\n"), 2;
  const pmla_library& library = *openLibrary(argv[1]);
  pmla_error error{};
  error.size = sizeof error;
  pmla_device device;
  pmla_stream stream;
  pmla_event event;
  require(library.open(0, nullptr, 0, &device, &error), "open", error);
  require(library.stream_new(device, nullptr, &stream, &error), "stream_new", error);
  require(library.event_new(device, &event, &error), "event_new", error);
  const auto synchronise = [&] {
    require(library.event_record(event, stream, &error), "event_record", error);
    pmla_status status;
    while ((status = library.event_query(event, &error)) == PMLA_NOT_READY) {
    }
    require(status, "event_query", error);
  };

  constexpr int64_t heads = 16, pages = 8;
  pmla_decode_problem problem{};
  problem.size = sizeof problem;
  problem.op = PMLA_OP_DECODE;
  problem.q_dtype = problem.out_dtype = PMLA_BF16;
  problem.max_batch = problem.query_tokens = 1;
  problem.heads = heads;
  problem.value_dim = 512;
  problem.block_table_width = 1;
  problem.cache = {PMLA_KV_BF16, 0, pages, 64, 1, 576, 64 * 576};
  problem.softmax_scale = 0.04;
  const auto* const head = reinterpret_cast<const pmla_problem*>(&problem);
  pmla_fit fit{};
  fit.size = sizeof fit;
  require(library.fit(device, head, &fit, &error), "fit", error);
  pmla_plan plan;
  require(library.plan_new(device, head, &plan, &error), "plan_new", error);

  const auto memory = [&](uint64_t bytes) {
    void* made;
    require(library.alloc(device, bytes, &made, &error), "alloc", error);
    require(library.fill(stream, made, 0, bytes, &error), "fill", error);
    return made;
  };
  const int32_t length = 64;
  std::vector<int32_t> rows(static_cast<size_t>(fit.max_partitions) * 8);
  for (size_t row = 0; row < rows.size(); row += 8) rows[row] = row == 0 ? 0 : 1;
  rows[3] = 1;
  const int32_t splits[] = {0, 1};
  pmla_decode_args args{};
  args.size = sizeof args;
  args.batch = 1;
  args.q = memory(heads * 576 * 2);
  args.q_strides[0] = args.q_strides[1] = heads * 576;
  args.q_strides[2] = 576;
  args.cache = memory(pages * 64 * 576 * 2);
  auto* const lengths = static_cast<int32_t*>(memory(4));
  auto* const schedule = static_cast<int32_t*>(memory(rows.size() * 4));
  auto* const numSplits = static_cast<int32_t*>(memory(sizeof splits));
  args.seqlens = lengths;
  args.block_table = static_cast<int32_t*>(memory(4));
  args.out = memory(heads * 512 * 2);
  args.lse = static_cast<float*>(memory(heads * 4));
  args.descale_q = args.descale_k = 1;
  args.schedule = {schedule, numSplits};
  args.workspace = memory(fit.workspace_bytes);
  require(library.upload(stream, lengths, &length, 4, &error), "upload", error);
  require(library.upload(stream, schedule, rows.data(), rows.size() * 4, &error), "upload", error);
  require(library.upload(stream, numSplits, splits, sizeof splits, &error), "upload", error);
  synchronise();

  const auto time = [&](const char* what, const std::function<void()>& call) {
    std::vector<double> samples;
    for (int round = 0; round < rounds; round++) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < calls; i++) call();
      const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begin;
      synchronise();
      if (round >= warmUp) samples.push_back(taken.count() / calls);
    }
    std::sort(samples.begin(), samples.end());
    std::printf("%-16s %6.2f (%.2f to %.2f)\n", what, samples[samples.size() / 2], samples.front(), samples.back());
  };
  time("decode", [&] { require(library.decode(plan, stream, &args, &error), "decode", error); });
  pmla_graph graph;
  require(library.capture_begin(stream, &error), "capture_begin", error);
  require(library.decode(plan, stream, &args, &error), "decode", error);
  require(library.capture_end(stream, &graph, &error), "capture_end", error);
  time("graph_launch", [&] { require(library.graph_launch(graph, stream, &error), "graph_launch", error); });
  time("event_query", [&] { require(library.event_query(event, &error), "event_query", error); });
  return 0;
}
