// What of the ABI needs no device: the table, reasons for unusable devices, bad arguments.
#include <cuda_runtime.h>

#include <cstring>
#include <string>

#include "check.h"
#include "gpu/library/failure-of.h"
#include "gpu/library/own.h"
#include "polymla_backend.h"

using namespace polymla;

namespace {

pmla_error makeError() {
  pmla_error error{};
  error.size = sizeof error;
  return error;
}

const pmla_library* openLibrary() {
  pmla_host host{};
  host.size = sizeof host;
  host.abi_major = PMLA_ABI_MAJOR;
  const pmla_library* library = nullptr;
  EXPECT(pmla_library_v1(&host, &library, nullptr) == PMLA_OK);
  const pmla_library* again = nullptr;
  EXPECT(pmla_library_v1(&host, &again, nullptr) == PMLA_OK && again == library);

  host.abi_major++;
  pmla_error error = makeError();
  EXPECT(pmla_library_v1(&host, &library, &error) == PMLA_ABI_MISMATCH && error.status == PMLA_ABI_MISMATCH);
  EXPECT(pmla_library_v1(nullptr, &library, nullptr) == PMLA_INVALID_ARGUMENT);
  EXPECT(pmla_library_v1(&host, nullptr, nullptr) == PMLA_INVALID_ARGUMENT);
  return library;
}

void checkTable(const pmla_library& library) {
  EXPECT(library.size == sizeof library && library.abi_major == PMLA_ABI_MAJOR);
  EXPECT(std::strcmp(library.name, "cuda-hopper") == 0);
  EXPECT(library.capture_begin && library.capture_end && library.graph_launch && library.graph_free);
  // Sparse ops are not here, and the host polls.
  EXPECT(!library.sparse_decode && !library.sparse_prefill && !library.event_notify);
  EXPECT(library.device_count(nullptr, nullptr) == PMLA_INVALID_ARGUMENT);
  pmla_error error = makeError();
  EXPECT(library.alloc(nullptr, 1, nullptr, &error) == PMLA_INVALID_ARGUMENT);
  EXPECT(std::strstr(error.message, "device"));
  EXPECT(library.event_query(nullptr, nullptr) == PMLA_INVALID_ARGUMENT);
}

/** A machine that has no usable driver says why. */
void checkWithoutDevice(const pmla_library& library) {
  int count;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess) return;
  int version = 0;
  cudaDriverGetVersion(&version);
  const Failure expected = noDevices(code, version);
  int32_t found = -1;
  pmla_error error = makeError();
  EXPECT(library.device_count(&found, &error) == expected.status && found == -1);
  EXPECT(std::strcmp(error.message, expected.message) == 0 && std::strcmp(error.fix, expected.fix) == 0);
  EXPECT(error.native_code == code && error.fix[0] != 0);
  pmla_device device = nullptr;
  EXPECT(library.open(0, nullptr, 0, &device, nullptr) == expected.status && device == nullptr);
}

/** What the library says of a device of some compute capability, in some compute mode. */
Described judged(int major, int minor, int mode) {
  cudaDeviceProp properties{};
  properties.major = major;
  properties.minor = minor;
  Described device;
  own::judge(device, properties);
  judgeMode(device, mode);
  return device;
}

void checkReasons() {
  EXPECT(noDevices(cudaErrorInsufficientDriver, 0).status == PMLA_NO_DEVICE);
  EXPECT(noDevices(cudaErrorNoDevice, 13000).status == PMLA_NO_DEVICE);
  const Failure old = noDevices(cudaErrorInsufficientDriver, 11040);
  EXPECT(old.status == PMLA_DRIVER_TOO_OLD && std::strstr(old.message, "CUDA 11.4"));
  EXPECT(noDevices(cudaErrorUnknown, 0).status == PMLA_INTERNAL);

  EXPECT(judged(9, 0, cudaComputeModeDefault).status == PMLA_OK);
  EXPECT(judged(9, 0, cudaComputeModeExclusiveProcess).status == PMLA_OK);
  EXPECT(judged(9, 0, cudaComputeModeProhibited).reason.find("Prohibited") != std::string::npos);
  for (const int major : {8, 10}) {
    const Described device = judged(major, 6, cudaComputeModeDefault);
    EXPECT(device.status == PMLA_DEVICE_UNAVAILABLE && device.reason.find(std::to_string(major) + ".6") != std::string::npos);
    EXPECT(device.reason.size() < sizeof(pmla_device_info::reason) && std::strlen(device.fix) < sizeof(pmla_device_info::fix));
  }
}

void checkFailures() {
  EXPECT(failureOf(cudaErrorIllegalAddress, "f(x)").status == PMLA_DEVICE_LOST);
  EXPECT(failureOf(cudaErrorMemoryAllocation, "f(x)").status == PMLA_OUT_OF_MEMORY);
  EXPECT(failureOf(cudaErrorStreamCaptureInvalidated, "f(x)").status == PMLA_CAPTURE_ILLEGAL);
  const Failure failure = failureOf(cudaErrorInvalidValue, "cudaFree(memory)");
  EXPECT(failure.status == PMLA_INTERNAL && failure.nativeCode == cudaErrorInvalidValue);
  EXPECT(std::strncmp(failure.message, "cudaFree: cudaErrorInvalidValue: ", 33) == 0);
}

}  // namespace

int main() {
  if (const pmla_library* library = openLibrary()) {
    checkTable(*library);
    checkWithoutDevice(*library);
  }
  checkReasons();
  checkFailures();
  return test::finish();
}
