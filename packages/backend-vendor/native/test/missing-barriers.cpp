// Takes every barrier of the library's kernels away, one at a time, and shared memory from them: each must show.

#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "../kernels/launch-attend.h"
#include "../mma/types.h"
#include "gpu/ops/schedule.h"
#include "check.h"
#include "launches.h"

using namespace polymla;
using namespace polymla::test;

namespace {

constexpr int heads = 20;
// Wide enough for columns of a second wave of 128.
constexpr int headDim = 352;
constexpr int valueDim = 336;
constexpr int batch = 3;
constexpr int pageSize = 16;
constexpr int width = 16; ///< of the block table

/** Numbers that differ, without end. */
float made(int i) { return static_cast<float>((i * 7919 + 104729) % 2003) / 1001.0f - 1; }

template <class Storage> Storage codeOf(float value) {
  if constexpr (sizeof(Storage) == 4) return value;
  else return Bf16::store(value);
}

/** Three requests that one partition works on, one after the other, and then in pieces: schedule, attention, combination. */
template <class Storage> std::vector<float> attend(OnDevice &on, Compute compute, int shared, int64_t splitPages) {
  static std::vector<Storage> q(batch * heads * headDim);
  static std::vector<Storage> cache(batch * width * pageSize * headDim);
  for (size_t i = 0; i < q.size(); i++) q[i] = codeOf<Storage>(made(static_cast<int>(i)));
  for (size_t i = 0; i < cache.size(); i++) cache[i] = codeOf<Storage>(made(static_cast<int>(i) + 17));
  static const std::vector<int32_t> lengths = {150, 0, 230};
  static std::vector<int32_t> table(batch * width);
  for (size_t i = 0; i < table.size(); i++) table[i] = static_cast<int32_t>((i * 5) % table.size());

  constexpr int partitions = 2;
  std::vector<ScheduleRow> rows(partitions);
  std::vector<int32_t> numSplits(batch + 1, 0);
  ScheduleInput input{};
  input.lengths = lengths.data();
  input.batch = batch;
  input.longest = width * pageSize;
  input.pageSize = pageSize;
  launchSchedule(input, {partitions, 1, splitPages}, rows.data(), partitions, numSplits.data(), on.stream);

  constexpr int places = 64;
  std::vector<float> out(batch * heads * valueDim, -7);
  std::vector<float> lse(batch * heads, -7);
  std::vector<float> partialOut(places * heads * valueDim, -7);
  std::vector<float> partialLse(places * heads, -7);
  AttendParams params{};
  pmla_kv_layout layout{};
  layout.format = sizeof(Storage) == 4 ? PMLA_KV_F32 : PMLA_KV_BF16;
  layout.pages = batch * width;
  layout.page_size = pageSize;
  layout.heads_kv = 1;
  layout.head_dim = headDim;
  layout.page_stride = pageSize * headDim;
  params.q = q.data();
  params.qType = sizeof(Storage) == 4 ? PMLA_F32 : PMLA_BF16;
  params.qStrides[0] = heads * headDim;
  params.qStrides[2] = headDim;
  params.keys = {reinterpret_cast<const unsigned char *>(cache.data()), CacheLayout(layout), layout.format, table.data(), width,
                 lengths.data(), width * pageSize, 1};
  params.batch = batch;
  params.queryTokens = 1;
  params.heads = heads;
  params.headsKv = 1;
  params.headDim = headDim;
  params.valueDim = valueDim;
  params.rows = heads;
  params.schedule = rows.data();
  params.numSplits = numSplits.data();
  params.partitions = partitions;
  params.splitPages = splitPages;
  params.pageTokens = pageSize;
  params.places = places;
  params.out = out.data();
  params.outType = PMLA_F32;
  params.lse = lse.data();
  params.partialOut = partialOut.data();
  params.partialLse = partialLse.data();
  params.scaleLog2 = 0.3f;
  params.outScale = 1;
  const AttendKernel kernel = AttendKernel::choose(compute, heads, shared);
  params.rowBlocks = (heads + kernel.sizes.rows - 1) / kernel.sizes.rows;
  launchAttend(kernel, compute != Compute::F32, params, on.stream);
  emuStreamSynchronize(on.stream);
  out.insert(out.end(), lse.begin(), lse.end());
  for (const ScheduleRow &row : rows) out.push_back(static_cast<float>(row.endRequest * 100 + row.endPage));
  return out;
}

bool isSame(const std::vector<float> &a, const std::vector<float> &b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

using Run = std::function<std::vector<float>(OnDevice &)>;

/** Whether a bug shows at a width: as an error, or in a result. */
bool shows(const Run &run, int device, const std::vector<float> &right) {
  for (const unsigned other : {0u, 1u}) {
    OnDevice on(device);
    emulator::faults.otherOrder = other;
    const std::vector<float> found = run(on);
    if (!on.finish().empty() || !isSame(found, right)) return true;
  }
  return false;
}

/** The exit code that says so. */
constexpr int hiddenBug = 7;

using Sites = std::map<std::pair<std::string, int>, emulator::Site>;

} // namespace

int main(int argc, char **argv) {
  constexpr int most = 232448;
  emulator::faults.mostBlocks = 1;
  const Run runs[] = {
      [](OnDevice &on) { return attend<uint16_t>(on, Compute::Bf16, most, 0); },
      [](OnDevice &on) { return attend<uint16_t>(on, Compute::Bf16, most, 3); },
      [](OnDevice &on) { return attend<uint16_t>(on, Compute::Bf16, 65536, 3); },
      [](OnDevice &on) { return attend<float>(on, Compute::F32, most, 3); },
  };
  std::vector<std::vector<float>> right;
  Sites sites;
  for (const Run &run : runs) {
    OnDevice on(0);
    std::vector<emulator::Site> reached;
    emulator::reachedBarriers = &reached;
    right.push_back(run(on));
    const std::string wrong = on.finish();
    emulator::reachedBarriers = nullptr;
    CHECK(wrong.empty(), "%s", wrong.c_str());
    for (const emulator::Site site : reached) sites[{site.file, site.line}] = site;
    for (int device = 1; device < 3; device++) {
      CHECK(!shows(run, device, right.back()), "waves of %d give another result", waves[device]);
    }
  }
  CHECK(sites.size() >= 12, "only %zu barriers were reached", sites.size());

  // Each in a process of its own: without a barrier, a kernel may follow an address that is not there yet.
  if (argc == 4) {
    const int device = std::atoi(argv[1]);
    emulator::faults.missing = {argv[2], std::atoi(argv[3])};
    for (size_t i = 0; i < right.size(); i++) {
      if (shows(runs[i], device, right[i])) return 0;
    }
    return hiddenBug;
  }
  int hidden = 0;
  for (const auto &[key, site] : sites) {
    for (int device = 0; device < 3; device++) {
      const std::string command = std::string(argv[0]) + " " + std::to_string(device) + " '" + site.file + "' " + std::to_string(site.line);
      const int status = std::system(command.c_str());
      if (!WIFEXITED(status) || WEXITSTATUS(status) != hiddenBug) continue;
      std::fprintf(stderr, "waves of %d: nothing shows without the barrier of %s:%d\n", waves[device], site.file, site.line);
      hidden++;
    }
  }
  CHECK(hidden == 0, "%d missing barriers do not show", hidden);

  for (int device = 0; device < 3; device++) {
    emulator::faults.sharedLack = 64;
    for (size_t i = 0; i < right.size(); i++) {
      OnDevice on(device);
      runs[i](on);
      const std::string found = on.finish();
      CHECK(found.find("past the end of shared memory") != std::string::npos, "run %zu, waves of %d: found '%s'", i, waves[device],
            found.c_str());
    }
    emulator::faults.sharedLack = 0;
  }
  std::printf("%zu barriers\n", sites.size());
}
