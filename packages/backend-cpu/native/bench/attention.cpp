#include "attention.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>

#include "../runtime/spin-lock.h"

namespace polymla::cpu::bench {
namespace {

/** Tiles of one call, as many as the backend gives at once. */
constexpr int TILES = 32;
/** Rows that float64 checks. */
constexpr int CHECKED_ROWS = 2;
/** Keys that float64 checks at most: longer requests are checked by a shorter pass of the same kernel. */
constexpr int64_t CHECKED_KEYS = 8192;

/** Share of a pass that a thread may be without a processor. */
constexpr double MOST_LOST = 0.02;

struct FreeAligned {
  void operator()(std::byte *memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, FreeAligned>;

Memory allocate(size_t bytes) {
  return Memory(static_cast<std::byte *>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
}

/** A thread's share of a request. */
class Worker {
public:
  Worker(const Kernels &kernels, const Cache &cache, const Queries &queries)
      : kernels(kernels), cache(cache), queries(queries),
        compute(kernels.computeInPlace(queries.dtype, cache.format(), queries.count)),
        direct(kernels.direct(cache.format(), compute)),
        stride(static_cast<int64_t>(queries.headDim) * (compute == Compute::F32 ? 4 : 2)),
        state(allocate(kernels.stateBytes(queries.count, queries.headDim, queries.valueDim, compute))),
        gathered(allocate(static_cast<size_t>(stride) * TILE_KEYS)), out(size_t(queries.count) * VALUE_DIM),
        lse(size_t(queries.count)) {}

  /** The keys [from, to) of the request that begins at page `first`; both multiples of a page, but for the
   * last. */
  void run(size_t first, int64_t from, int64_t to) {
    kernels.begin(state.get(), queries, compute);
    KeyTile tiles[TILES + 1];
    int count = 0;
    for (int64_t key = from; key < to; key += PAGE_SIZE) {
      const size_t page = first + static_cast<size_t>(key / PAGE_SIZE);
      const int keys = static_cast<int>(std::min<int64_t>(to - key, PAGE_SIZE));
      if (direct) {
        tiles[count++] = {cache.token(page, 0), cache.token(page, 1) - cache.token(page, 0), keys, nullptr,
                          cache.scales(page, 0)};
      } else {
        const std::byte *tokens[TILE_KEYS], *scales[TILE_KEYS];
        for (int i = 0; i < keys; i++) {
          tokens[i] = cache.token(page, i);
          scales[i] = cache.scales(page, i);
        }
        kernels.gather({cache.format(), queries.headDim, keys, tokens, scales}, compute, gathered.get());
        tiles[count++] = {gathered.get(), stride, keys, nullptr, nullptr};
      }
      if (!direct) {
        kernels.attend(state.get(), tiles, 1, nullptr);
        count = 0;
      } else if (count > TILES) {
        kernels.attend(state.get(), tiles, TILES, &tiles[TILES]);
        tiles[0] = tiles[TILES];
        count = 1;
      }
    }
    if (count > 0) kernels.attend(state.get(), tiles, count, nullptr);
    kernels.finish(state.get(), out.data(), VALUE_DIM, lse.data(), nullptr);
  }

  const Kernels &kernels;
  const Cache &cache;
  const Queries queries;
  const Compute compute;
  const bool direct;
  const int64_t stride;
  Memory state, gathered;
  std::vector<float> out, lse;
};

/** Where threads wait for each other, awake: waking takes as long as a part of a pass. */
class Turn {
public:
  explicit Turn(int threads) : threads(threads) {}

  /** Calls `last` on the thread that comes last. */
  template <class Last> void wait(Last last) {
    const int turn = turns.load();
    if (waiting.fetch_add(1) + 1 == threads) {
      last();
      waiting.store(0);
      turns.fetch_add(1);
      return;
    }
    while (turns.load() == turn) pauseCpu();
  }

private:
  const int threads;
  std::atomic<int> waiting{0}, turns{0};
};

/** Processor time of the calling thread. */
double processorSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double medianOf(std::vector<double> &numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

/** Where the share of a thread begins. */
int64_t shareBegin(int64_t keys, int threads, int thread) {
  const int64_t pages = (keys + PAGE_SIZE - 1) / PAGE_SIZE;
  return std::min(keys, pages * thread / threads * PAGE_SIZE);
}

/** Compares the merged results of the workers with float64 for some rows. */
void check(const std::vector<Worker> &workers, const Cache &cache, const Queries &queries, int64_t keys,
           Measurement &result) {
  const int rows = std::min(queries.count, CHECKED_ROWS);
  const int dims = queries.headDim;
  double squares = 0, exactSquares = 0, lseError = 0;
  std::vector<double> query(dims), key(dims), exact(VALUE_DIM), merged(VALUE_DIM);
  for (int r = 0; r < rows; r++) {
    const int row = r * (queries.count - 1);
    for (int i = 0; i < dims; i++) {
      query[i] = numberAt(queries.dtype,
                          static_cast<const std::byte *>(queries.rows[row]) + i * numberBytes(queries.dtype));
    }
    double sum = 0, top = -INFINITY;
    std::fill(exact.begin(), exact.end(), 0.0);
    for (int64_t j = 0; j < keys; j++) {
      cache.values(static_cast<size_t>(j / PAGE_SIZE), static_cast<int>(j % PAGE_SIZE), key.data());
      double logit = 0;
      for (int i = 0; i < dims; i++) logit += query[i] * key[i];
      logit *= queries.scale;
      if (logit > top) {
        const double factor = std::exp(top - logit);
        sum *= factor;
        for (double &number : exact) number *= factor;
        top = logit;
      }
      const double weight = std::exp(logit - top);
      sum += weight;
      for (int i = 0; i < VALUE_DIM; i++) exact[i] += weight * key[i];
    }
    const double lse = top + std::log(sum);
    double mergedSum = 0;
    std::fill(merged.begin(), merged.end(), 0.0);
    for (const Worker &worker : workers) {
      if (!(worker.lse[row] < INFINITY)) continue;
      const double weight = std::exp(worker.lse[row] - lse);
      mergedSum += weight;
      for (int i = 0; i < VALUE_DIM; i++) merged[i] += weight * worker.out[size_t(row) * VALUE_DIM + i];
    }
    lseError = std::max(lseError, std::fabs(std::log(mergedSum)));
    for (int i = 0; i < VALUE_DIM; i++) {
      const double difference = merged[i] / mergedSum - exact[i] / sum;
      squares += difference * difference;
      exactSquares += exact[i] / sum * exact[i] / sum;
    }
  }
  result.outError = std::sqrt(squares / exactSquares);
  result.lseError = lseError;
}

} // namespace

double secondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Measurement measure(const Kernels &kernels, const Cache &cache, uint32_t dtype, int rows, int64_t keys,
                    int threads, double seconds) {
  const int dims = cache.headDim();
  std::vector<std::byte> numbers(size_t(rows) * dims * numberBytes(dtype));
  std::vector<const void *> pointers;
  Random random(1000 + static_cast<uint64_t>(rows));
  for (int row = 0; row < rows; row++) {
    std::byte *target = numbers.data() + size_t(row) * dims * numberBytes(dtype);
    for (int i = 0; i < dims; i++) putNumber(dtype, target + i * numberBytes(dtype), random.normal());
    pointers.push_back(target);
  }
  // Logits of deviation 2: weights as uneven as in a model.
  const auto scale = static_cast<float>(2 / std::sqrt(static_cast<double>(dims)));
  const Queries queries = {pointers.data(), dtype, rows, dims, VALUE_DIM, scale};
  std::vector<Worker> workers;
  for (int i = 0; i < threads; i++) workers.emplace_back(kernels, cache, queries);

  const size_t pages = static_cast<size_t>((keys + PAGE_SIZE - 1) / PAGE_SIZE);
  const int64_t checkedKeys = std::min(keys, CHECKED_KEYS);
  const size_t passBytes = static_cast<size_t>(keys) * cache.tokenBytes(), cacheBytes = cache.pages() * PAGE_SIZE * cache.tokenBytes();
  const size_t readBytes = passBytes / static_cast<size_t>(threads) / 64 * 64;
  enum class Pass { Attend, Read, Check } pass = Pass::Attend;
  size_t first = 0, readAt = 0;
  int64_t passKeys = keys;
  bool more = true;
  double spent = 0, start = 0;
  std::atomic<bool> disturbed{false};
  std::vector<double> attendTimes, readTimes;
  Turn ready(threads), done(threads);
  const auto settle = [&] {
    const double elapsed = secondsNow() - start;
    spent += elapsed;
    const bool counts = !disturbed.exchange(false) || spent > 20 * seconds;
    switch (pass) {
    case Pass::Attend:
      if (counts) attendTimes.push_back(elapsed);
      first += pages;
      if (first + pages > cache.pages()) first = 0;
      pass = Pass::Read;
      break;
    case Pass::Read:
      if (counts) readTimes.push_back(elapsed);
      readAt += passBytes;
      if (readAt + passBytes > cacheBytes) readAt = 0;
      pass = Pass::Attend;
      if (spent < seconds || readTimes.empty() || attendTimes.empty()) break;
      pass = Pass::Check;
      first = 0;
      passKeys = checkedKeys;
      break;
    case Pass::Check: more = false;
    }
  };
  const auto body = [&](int thread) {
    while (more) {
      ready.wait([&] { start = secondsNow(); });
      const double began = processorSeconds(), beganAt = secondsNow();
      if (pass == Pass::Read) {
        volatile uint64_t sum = kernels.readAll(cache.begin() + readAt + readBytes * static_cast<size_t>(thread), readBytes);
        (void)sum;
      } else {
        workers[thread].run(first, shareBegin(passKeys, threads, thread), shareBegin(passKeys, threads, thread + 1));
      }
      // Others had this processor meanwhile: such a pass does not count.
      const double took = secondsNow() - beganAt;
      if (took - (processorSeconds() - began) > MOST_LOST * took) disturbed = true;
      done.wait(settle);
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; thread++) others.emplace_back(body, thread);
  body(0);
  for (std::thread &other : others) other.join();

  Measurement result{};
  result.seconds = *std::min_element(attendTimes.begin(), attendTimes.end());
  result.medianSeconds = medianOf(attendTimes);
  result.readSeconds = medianOf(readTimes);
  result.flop = 2.0 * rows * static_cast<double>(keys) * (dims + VALUE_DIM);
  result.bytes = static_cast<double>(keys) * static_cast<double>(cache.tokenBytes());
  check(workers, cache, queries, checkedKeys, result);
  return result;
}

} // namespace polymla::cpu::bench
