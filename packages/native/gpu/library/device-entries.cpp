#include <cstdio>

#include "availability.h"
#include "kit/entries.h"
#include "failure-of.h"
#include "handles.h"
#include "kit/options.h"
#include "kit/read.h"
#include "own.h"

namespace polymla::entries {
namespace {

void copyText(char* to, size_t size, const std::string& text) { snprintf(to, size, "%s", text.c_str()); }

}  // namespace

pmla_status device_count(int32_t* count, pmla_error* error) {
  return guarded(error, [&] {
    requirePointer(count, "count");
    *count = deviceCount();
  });
}

pmla_status device_info(int32_t index, pmla_device_info* info, pmla_error* error) {
  return guarded(error, [&] {
    const Described device = describeDevice(index);
    pmla_device_info filled{};
    filled.status = device.status;
    filled.score = own::score;
    filled.flags = PMLA_DEVICE_ADOPTS_STREAMS | PMLA_DEVICE_ADOPTS_MEMORY;
    filled.memory_bytes = device.memoryBytes;
    copyText(filled.name, sizeof filled.name, device.name);
    copyText(filled.arch, sizeof filled.arch, device.arch);
    copyText(filled.reason, sizeof filled.reason, device.reason);
    copyText(filled.fix, sizeof filled.fix, device.fix);
    writeStruct(info, filled, "info");
  });
}

pmla_status open(int32_t index, const pmla_option* options, int32_t option_count, pmla_device* device, pmla_error* error) {
  return guarded(error, [&] {
    const Described described = describeDevice(index);
    requirePointer(device, "device");
    if (described.status != PMLA_OK) throw makeFailure(described.status, described.fix, "%s", described.reason.c_str());
    DeviceTraits traits = described.traits;
    eachOption(options, option_count, [&](const char* key, const char* value) { own::readOption(traits, key, value); });
    auto opened = std::make_unique<Device>(index, traits);
    const CurrentDevice current(*opened);
    own::prepare(traits);
    *device = toHandle(opened.release());
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
