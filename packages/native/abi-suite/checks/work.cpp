#include <cstring>
#include <vector>

#include "../check.h"
#include "../guarded.h"
#include "../work.h"

namespace polymla::suite {

namespace {

/** Device memory of a check's own. */
class Memory {
public:
  Memory(const Device &device, size_t bytes) : device_(device) {
    succeed("alloc", [&](pmla_error *error) { return device.table.alloc(device, bytes, &memory_, error); });
  }
  ~Memory() { device_.table.release(device_, memory_); }
  Memory(const Memory &) = delete;
  uint8_t *at(size_t offset = 0) const { return static_cast<uint8_t *>(memory_) + offset; }

private:
  const Device &device_;
  void *memory_ = nullptr;
};

} // namespace

std::string checkTransfers(const Context &context) {
  const Device device(context.subject);
  Stream stream(device);
  Random random(context.seed);
  constexpr size_t SIZES[] = {1, 3, 4, 255, 4096, 65537, 3'000'001};
  for (const size_t bytes : SIZES) {
    const Memory a(device, bytes + 64), b(device, bytes + 64);
    // At the end of memory, gone when the call has returned: upload stages what it cannot copy at once.
    Guarded source(bytes);
    std::vector<uint8_t> expected(bytes);
    for (auto &byte : expected) byte = static_cast<uint8_t>(random.next());
    memcpy(source.data(), expected.data(), bytes);
    const size_t from = static_cast<size_t>(random.in(0, 3)), to = static_cast<size_t>(random.in(0, 3));
    stream.fill(a.at(), 0x11, bytes + 64);
    stream.fill(b.at(), 0x22, bytes + 64);
    stream.upload(a.at(from), source.data(), bytes);
    source.seal();
    succeed("copy", [&](pmla_error *error) { return device.table.copy(stream, b.at(to), a.at(from), bytes, error); });
    const Guarded found(bytes + 64);
    stream.download(found.data(), b.at(), found.size());
    stream.finish();
    std::vector<uint8_t> whole(bytes + 64, 0x22);
    memcpy(whole.data() + to, expected.data(), bytes);
    require(memcmp(found.data(), whole.data(), whole.size()) == 0,
            text("%zu bytes, from offset %zu to %zu, did not arrive as they were sent", bytes, from, to));
  }
  return "uploads, copies and downloads of 1 to 3000001 bytes at odd addresses";
}

std::string checkLaunches(const Context &context) {
  const Device device(context.subject);
  Stream stream(device);
  const auto all = doable(device, samples().size());
  for (const Sample &sample : all) {
    Work work(device, sample, {context.seed, 0xff, false});
    const auto first = work.run(stream);
    require(work.run(stream) == first, sample.name + ": the same inputs give other bits the second time");
    // What lies around tensors, and what scratch held, must not matter.
    Work elsewhere(device, sample, {context.seed, 0x00, false});
    require(elsewhere.run(stream) == first, sample.name + ": results depend on memory around the tensors or scratch");
  }
  return text("%zu of %zu problems, each three times", all.size(), samples().size());
}

std::string checkGuardPages(const Context &context) {
  const Device device(context.subject);
  Stream stream(device);
  const auto all = doable(device, samples().size());
  const bool isHost = hasHostMemory(device);
  const auto sides = isHost ? std::vector{Fenced::AFTER, Fenced::BEFORE} : std::vector{Fenced::NONE};
  for (const Sample &sample : all) {
    Work plain(device, sample, {context.seed, 0xff, false});
    const auto expected = plain.run(stream);
    for (const Fenced side : sides) {
      Work guarded(device, sample, {context.seed, 0xff, true, side});
      require(guarded.run(stream) == expected, sample.name + ": results depend on where structs and tensors lie");
    }
  }
  const auto what = text("problems and arguments of %zu launches", all.size());
  if (isHost) return what + ", and tensors between pages that may not be touched";
  return what + "; around tensors in a device's memory there are no such pages, and `launches` looks at what is written there";
}

std::string checkDeviceMemory(const Context &context) {
  const pmla_library &table = context.subject.table();
  const Device device(context.subject);
  Stream stream(device);
  const Sample sample = doable(device, 1).front();
  std::vector<uint8_t> before;
  {
    Work work(device, sample, {context.seed, 0xff, false});
    before = work.run(stream);
  }
  uint64_t total = 0, available = 0;
  if (table.memory_info != nullptr) {
    succeed("memory_info", [&](pmla_error *error) { return table.memory_info(device, &total, &available, error); });
    require(total > 0 && available <= total, "memory_info: more is free than there is");
  }
  for (const uint64_t bytes : {uint64_t{1} << 46, uint64_t{1} << 55, uint64_t{1} << 62, UINT64_MAX - 4095, UINT64_MAX}) {
    void *memory = nullptr;
    ErrorRecord error;
    const pmla_status status = table.alloc(device, bytes, &memory, error.get());
    error.check(status, "alloc");
    require(status == PMLA_OUT_OF_MEMORY,
            text("alloc of %llu bytes: status %d", static_cast<unsigned long long>(bytes), status));
  }
  Work work(device, sample, {context.seed, 0xff, false});
  require(work.run(stream) == before, "after an allocation that failed, results are others");
  return "allocations of 2^46 to 2^64 - 1 bytes; then " + sample.name;
}

std::string checkGraphs(const Context &context) {
  const pmla_library &table = context.subject.table();
  if (table.capture_begin == nullptr) throw Skipped{"the library has no graphs; the host repeats the calls"};
  const Device device(context.subject);
  Stream stream(device), other(device);
  const auto all = doable(device, 6);
  for (const Sample &sample : all) {
    Work work(device, sample, {context.seed, 0xff, false});
    const auto expected = work.run(stream);
    work.upload(stream);
    stream.finish();
    succeed("capture_begin", [&](pmla_error *error) { return table.capture_begin(stream, error); });
    work.launch(stream);
    // Other streams go on.
    const Memory elsewhere(device, 256);
    other.fill(elsewhere.at(), 1, 256);
    other.finish();
    pmla_graph graph = nullptr;
    succeed("capture_end", [&](pmla_error *error) { return table.capture_end(stream, &graph, error); });
    require(graph != nullptr, "capture_end succeeds and gives no graph");
    work.download(stream);
    stream.finish();
    bool executed = true;
    try {
      work.outputs();
    } catch (const Failed &) {
      executed = false;
    }
    require(!executed, sample.name + ": a launch is executed while it is captured");
    for (int replay = 0; replay < 2; replay++) {
      work.upload(stream);
      succeed("graph_launch", [&](pmla_error *error) { return table.graph_launch(graph, stream, error); });
      work.download(stream);
      stream.finish();
      require(work.outputs() == expected, text("%s: replay %d has other results", sample.name.c_str(), replay));
    }
    table.graph_free(graph);
  }
  return text("%zu launches, captured and replayed twice", all.size());
}

} // namespace polymla::suite
