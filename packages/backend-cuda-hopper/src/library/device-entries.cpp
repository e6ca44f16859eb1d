#include <cstdio>

#include "availability.h"
#include "cuda-failure.h"
#include "entries.h"
#include "handles.h"
#include "kit/read.h"

namespace polymla::entries {
namespace {

/** Above every CPU. */
constexpr int32_t score = 200;

/** Number of devices. Throws Failure that says why there are none. */
int deviceCount() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess) return count;
  int version = 0;
  cudaDriverGetVersion(&version);
  throw unavailableDriver(code, version);
}

int attributeOf(int ordinal, cudaDeviceAttr attribute) {
  int value = 0;
  POLYMLA_REQUIRE(cudaDeviceGetAttribute(&value, attribute, ordinal));
  return value;
}

void requireDevice(int32_t index) {
  const int count = deviceCount();
  if (index >= 0 && index < count) return;
  throw makeFailure(PMLA_NO_DEVICE, "Run nvidia-smi to see the devices, and check CUDA_VISIBLE_DEVICES",
                    "expected a device from 0 to %d, found %d", count - 1, index);
}

Unusable unusableDevice(int ordinal) {
  return unusable(attributeOf(ordinal, cudaDevAttrComputeCapabilityMajor),
                  attributeOf(ordinal, cudaDevAttrComputeCapabilityMinor), attributeOf(ordinal, cudaDevAttrComputeMode));
}

}  // namespace

pmla_status device_count(int32_t* count, pmla_error* error) {
  return guarded(error, [&] {
    requirePointer(count, "count");
    *count = deviceCount();
  });
}

pmla_status device_info(int32_t index, pmla_device_info* info, pmla_error* error) {
  return guarded(error, [&] {
    requireDevice(index);
    cudaDeviceProp properties;
    POLYMLA_REQUIRE(cudaGetDeviceProperties(&properties, index));
    const Unusable why = unusableDevice(index);
    pmla_device_info filled{};
    filled.status = why.status;
    filled.score = score;
    filled.flags = PMLA_DEVICE_ADOPTS_STREAMS | PMLA_DEVICE_ADOPTS_MEMORY;
    filled.memory_bytes = properties.totalGlobalMem;
    snprintf(filled.name, sizeof filled.name, "%.63s", properties.name);
    snprintf(filled.arch, sizeof filled.arch, "sm_%d%d", properties.major, properties.minor);
    snprintf(filled.reason, sizeof filled.reason, "%s", why.reason.c_str());
    snprintf(filled.fix, sizeof filled.fix, "%s", why.fix);
    writeStruct(info, filled, "info");
  });
}

pmla_status open(int32_t index, const pmla_option* options, int32_t option_count, pmla_device* device, pmla_error* error) {
  return guarded(error, [&] {
    requireDevice(index);
    requirePointer(device, "device");
    if (option_count != 0) {
      const char* key = option_count > 0 && options != nullptr && options[0].key != nullptr ? options[0].key : "";
      throw makeFailure(PMLA_INVALID_ARGUMENT, "", "options: expected none, found %d, first '%.60s'", option_count, key);
    }
    if (const Unusable why = unusableDevice(index); why.status != PMLA_OK) {
      throw makeFailure(why.status, why.fix, "%s", why.reason.c_str());
    }
    *device = toHandle(new Device(index));
  });
}

void close(pmla_device device) {
  // What belongs to a lost device stays.
  if (Device* const open = pointed(device); !open->lost()) delete open;
}

pmla_status memory_info(pmla_device device, uint64_t* total, uint64_t* available, pmla_error* error) {
  return guardedOn(device, "device", error, [&](Device& open) {
    requirePointer(total, "total");
    requirePointer(available, "available");
    const Device::Memory memory = open.memory();
    *total = memory.total;
    *available = memory.available;
  });
}

pmla_status alloc(pmla_device device, uint64_t bytes, void** memory, pmla_error* error) {
  return guardedOn(device, "device", error, [&](Device& open) {
    requirePointer(memory, "memory");
    if (bytes == 0) throw makeFailure(PMLA_INVALID_ARGUMENT, "", "bytes: expected at least 1, found 0");
    *memory = open.allocate(bytes);
  });
}

void release(pmla_device device, void* memory) {
  // A failure has nobody to be told to, and shows in the next call.
  guardedOn(device, "device", nullptr, [&](Device& open) { open.release(memory); });
}

}  // namespace polymla::entries
