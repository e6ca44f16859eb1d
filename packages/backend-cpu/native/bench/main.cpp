#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include "attention.h"

/*
 * Rates of the kernels beside the peaks of the machine, measured in the same run: flop/s of the best pass; bytes per second
 * as a median, beside the median of passes in between that only read. Options, lists separated by commas:
 *
 *   --isa avx512-bf16,…    default: all that this processor runs
 *   --format bf16,e4m3,…   of the cache; queries are bf16, or of the cache's type for f16 and f32
 *   --rows 1,4,16,…        query rows that share the keys
 *   --keys 1024,…          keys of the request
 *   --threads N            default: all
 *   --seconds S            per rate, default 0.2
 *   --cache MiB            default 1024: should exceed the last-level cache
 *   --json                 one JSON document instead of tables
 */
namespace polymla::cpu::bench {
namespace {

struct Format {
  const char *name;
  uint32_t format;
  uint32_t queryDtype;
};
constexpr Format FORMATS[] = {
    {"bf16", PMLA_KV_BF16, PMLA_BF16},       {"f16", PMLA_KV_F16, PMLA_F16},
    {"f32", PMLA_KV_F32, PMLA_F32},          {"e4m3", PMLA_KV_E4M3, PMLA_BF16},
    {"fp8-656", PMLA_KV_FP8_656, PMLA_BF16}, {"fp8-584", PMLA_KV_FP8_584, PMLA_BF16},
};

struct Options {
  std::vector<std::string> isas;
  std::vector<std::string> formats{"bf16"};
  std::vector<int64_t> rows{1, 4, 16, 32, 64, 128};
  std::vector<int64_t> keys{1024, 4096, 16384, 65536};
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double seconds = 0.2;
  size_t cacheBytes = size_t{1} << 30;
  bool json = false;
};

std::vector<std::string> split(const std::string &list) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

std::vector<int64_t> numbers(const std::string &list) {
  std::vector<int64_t> result;
  for (const std::string &part : split(list)) {
    if (part.empty() || part.size() > 12 || part.find_first_not_of("0123456789") != std::string::npos) {
      throw std::invalid_argument("'" + part + "': expected a whole number");
    }
    result.push_back(std::stoll(part));
  }
  return result;
}

Options parse(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (name == "--json") {
      options.json = true;
      continue;
    }
    if (i + 1 >= argc) throw std::invalid_argument(name + ": expected a value");
    const std::string value = argv[++i];
    if (name == "--isa") options.isas = split(value);
    else if (name == "--format") options.formats = split(value);
    else if (name == "--rows") options.rows = numbers(value);
    else if (name == "--keys") options.keys = numbers(value);
    else if (name == "--threads") options.threads = static_cast<int>(numbers(value).front());
    else if (name == "--seconds") options.seconds = std::atof(value.c_str());
    else if (name == "--cache") options.cacheBytes = static_cast<size_t>(numbers(value).front()) << 20;
    else throw std::invalid_argument(name + ": no such option");
  }
  for (const int64_t rows : options.rows) {
    if (rows < 1 || rows > MAX_ROWS)
      throw std::invalid_argument("--rows: expected 1 to " + std::to_string(MAX_ROWS));
  }
  for (const int64_t keys : options.keys) {
    if (keys < 1) throw std::invalid_argument("--keys: expected at least 1");
  }
  if (options.threads < 1) throw std::invalid_argument("--threads: expected at least 1");
  return options;
}

const Format &formatOf(const std::string &name) {
  for (const Format &format : FORMATS) {
    if (name == format.name) return format;
  }
  throw std::invalid_argument("--format " + name + ": expected bf16, f16, f32, e4m3, fp8-656 or fp8-584");
}

/** The sum over threads of what each measures at the same time; the best of some rounds. */
template <class Measure> double bestSum(int threads, Measure measure) {
  double best = 0;
  for (int round = 0; round < 3; round++) {
    std::vector<double> rates(threads);
    std::vector<std::thread> others;
    for (int i = 1; i < threads; i++) others.emplace_back([&, i] { rates[i] = measure(i); });
    rates[0] = measure(0);
    for (std::thread &other : others) other.join();
    double sum = 0;
    for (const double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

struct Peaks {
  double f32, bf16;
};

Peaks peaksOf(const Kernels &kernels, int threads) {
  return {bestSum(threads, [&](int) { return kernels.peakF32(0.1); }),
          bestSum(threads, [&](int) { return kernels.peakBf16(0.1); })};
}

void run(const Options &options) {
  int isaCount;
  const Kernels *const *all = allKernels(&isaCount);
  if (options.json) std::printf("[");
  const char *separator = "";
  for (const std::string &formatName : options.formats) {
    const Format &format = formatOf(formatName);
    const Cache cache(format.format, options.cacheBytes);
    for (int i = 0; i < isaCount; i++) {
      const Kernels &kernels = *all[i];
      const bool wanted = options.isas.empty() || std::find(options.isas.begin(), options.isas.end(),
                                                            kernels.name) != options.isas.end();
      if (!wanted || !kernels.usable()) continue;
      const Compute compute = kernels.compute(format.queryDtype, format.format);
      const Peaks peaks = peaksOf(kernels, options.threads);
      // Without a unit for bf16, bf16 is multiplied as fp32.
      const double peak = compute == Compute::Bf16 && peaks.bf16 > 0 ? peaks.bf16 : peaks.f32;
      if (!options.json) {
        std::printf(
            "\n%s, %s cache, %d threads: f32 peak %.0f GFLOP/s, bf16 peak %.0f GFLOP/s\n",
            kernels.name, format.name, options.threads, peaks.f32 / 1e9, peaks.bf16 / 1e9);
        std::printf("%5s %7s %10s %7s %8s %8s %7s %10s %10s\n", "rows", "keys", "GFLOP/s", "of peak", "GB/s",
                    "read", "of read", "out error", "lse error");
      }
      for (const int64_t rows : options.rows) {
        for (const int64_t keys : options.keys) {
          const size_t pages = static_cast<size_t>((keys + PAGE_SIZE - 1) / PAGE_SIZE);
          if (pages > cache.pages()) throw std::invalid_argument("--keys: the cache is smaller; see --cache");
          const Measurement m = measure(kernels, cache, format.queryDtype, static_cast<int>(rows), keys,
                                        options.threads, options.seconds);
          const double read = m.readBytesPerSecond();
          if (options.json) {
            std::printf("%s\n{\"isa\":\"%s\",\"format\":\"%s\",\"threads\":%d,\"rows\":%d,\"keys\":%lld,"
                        "\"flops\":%.4g,\"bytesPerSecond\":%.4g,\"outError\":%.3g,\"lseError\":%.3g,"
                        "\"peakF32\":%.4g,\"peakBf16\":%.4g,\"peakRead\":%.4g}",
                        separator, kernels.name, format.name, options.threads, static_cast<int>(rows),
                        static_cast<long long>(keys), m.flops(), m.bytesPerSecond(), m.outError, m.lseError,
                        peaks.f32, peaks.bf16, read);
            separator = ",";
          } else {
            std::printf("%5d %7lld %10.1f %6.1f%% %8.2f %8.2f %6.1f%% %10.1e %10.1e\n", static_cast<int>(rows),
                        static_cast<long long>(keys), m.flops() / 1e9, 100 * m.flops() / peak,
                        m.bytesPerSecond() / 1e9, read / 1e9, 100 * m.bytesPerSecond() / read, m.outError, m.lseError);
            std::fflush(stdout);
          }
        }
      }
    }
  }
  if (options.json) std::printf("\n]\n");
}

} // namespace
} // namespace polymla::cpu::bench

int main(int argc, char **argv) {
  try {
    polymla::cpu::bench::run(polymla::cpu::bench::parse(argc, argv));
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
