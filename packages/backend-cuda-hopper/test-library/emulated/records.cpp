// What a plan keeps in device memory, on the emulated device.
#include <cstdint>
#include <set>
#include <vector>

#include "gpu/library/device.h"
#include "src/plans/device-records.h"
#include "test-library/check.h"

using namespace polymla;

namespace {

struct alignas(64) Value {
  uint64_t words[24];
};

Value valueOf(uint64_t index) {
  Value value{};
  for (uint64_t word = 0; word < 24; word++) value.words[word] = index * 24 + word;
  return value;
}

/** More than a block of memory holds: those that were there stay where and what they are. */
void checkMany() {
  Device device(0, DeviceTraits{132, 232448, 32});
  const CurrentDevice current(device);
  const uint64_t before = device.memory().available;
  {
    DeviceRecords records(device);
    std::vector<const Value*> added;
    for (uint64_t index = 0; index < 300; index++) added.push_back(records.add(valueOf(index)));
    EXPECT(std::set<const Value*>(added.begin(), added.end()).size() == added.size());
    for (uint64_t index = 0; index < added.size(); index++) {
      Value found;
      EXPECT(cudaMemcpyAsync(&found, added[index], sizeof found, cudaMemcpyDeviceToHost, device.memoryStream()) == cudaSuccess);
      EXPECT(cudaStreamSynchronize(device.memoryStream()) == cudaSuccess);
      EXPECT(found.words[0] == index * 24 && found.words[23] == index * 24 + 23);
      EXPECT(reinterpret_cast<uintptr_t>(added[index]) % alignof(Value) == 0);
    }
    EXPECT(device.memory().available < before);
  }
  EXPECT(cudaStreamSynchronize(device.memoryStream()) == cudaSuccess);
  EXPECT(device.memory().available == before);
}

}  // namespace

int main() {
  checkMany();
  return test::finish();
}
