#include <cinttypes>
#include <cstdio>

#include "../runtime/peaks.h"
#include "kit/checks.h"
#include "kit/entries.h"
#include "handles.h"
#include "options.h"
#include "kit/read.h"
#include "kit/report.h"

namespace polymla::entries {

using namespace cpu;

namespace {

/** Below every accelerator; above the reference. */
constexpr int32_t SCORE = 10;

void requireDevice(int32_t index) {
  if (index == 0) return;
  throw makeFailure(PMLA_NO_DEVICE, "Use device 0", "expected device 0, the only one, found %" PRId32, index);
}

} // namespace

pmla_status device_count(int32_t *count, pmla_error *error) {
  return guarded(error, [&] {
    requirePointer(count, "count");
    *count = 1;
  });
}

pmla_status device_info(int32_t index, pmla_device_info *info, pmla_error *error) {
  return guarded(error, [&] {
    requireDevice(index);
    pmla_device_info filled{};
    filled.score = SCORE;
    filled.flags = PMLA_DEVICE_ADOPTS_MEMORY;
    filled.memory_bytes = memoryInfo().total;
    processorName(filled.name, sizeof filled.name);
    snprintf(filled.arch, sizeof filled.arch, "%s", bestKernels().name);
    writeStruct(info, filled, "info");
  });
}

pmla_status open(int32_t index, const pmla_option *options, int32_t option_count, pmla_device *device,
                 pmla_error *error) {
  return guarded(error, [&] {
    requireDevice(index);
    requirePointer(device, "device");
    const Options read = readOptions(options, option_count);
    *device = toHandle(new Device(*read.kernels, read.threads, read.pin));
  });
}

void close(pmla_device device) {
  // In a forked child there are no threads to end, and locks may be held by ones that are not there.
  if (Device *open = pointed(device); !open->lost()) delete open;
}

pmla_status memory_info(pmla_device device, uint64_t *total, uint64_t *available, pmla_error *error) {
  return guarded(error, [&] {
    checked(device, "device");
    requirePointer(total, "total");
    requirePointer(available, "available");
    const MemoryInfo info = memoryInfo();
    *total = info.total;
    *available = info.available;
  });
}

pmla_status alloc(pmla_device device, uint64_t bytes, void **memory, pmla_error *error) {
  return guarded(error, [&] {
    Device &open = checked(device, "device");
    requirePointer(memory, "memory");
    if (bytes == 0) throw makeFailure(PMLA_INVALID_ARGUMENT, "", "bytes: expected at least 1, found 0");
    *memory = open.memory.allocate(bytes);
  });
}

void release(pmla_device device, void *memory) {
  if (Device *open = pointed(device); !open->lost()) open->memory.release(memory);
}

pmla_status measure_peaks(pmla_device device, pmla_peaks *peaks, pmla_error *error) {
  return guarded(error, [&] {
    Device &open = checked(device, "device");
    const Peaks measured = measurePeaks(open);
    pmla_peaks filled{};
    filled.read_bytes_per_s = measured.readBytesPerSecond;
    filled.f32_flops_per_s = measured.f32FlopsPerSecond;
    filled.bf16_flops_per_s = measured.bf16FlopsPerSecond;
    filled.f16_flops_per_s = measured.f16FlopsPerSecond;
    writeStruct(peaks, filled, "peaks");
  });
}

} // namespace polymla::entries
