#pragma once
#include <string>

#include "gpu/dialect/launch.h"

namespace polymla::test {

constexpr int waves[] = {32, 64, 128};

/** A stream of the emulated device with waves of a given width. */
class OnDevice {
public:
  explicit OnDevice(int device) : device_(device) {
    emuSetDevice(device);
    emuStreamCreateWithFlags(&stream, emuStreamNonBlocking);
  }
  ~OnDevice() { emuStreamDestroy(stream); }
  OnDevice(const OnDevice &) = delete;

  /** What is wrong with what was launched; empty when nothing is. The device forgets it. */
  std::string finish() {
    const emuError_t code = emuStreamSynchronize(stream);
    const std::string why = code == emuSuccess ? "" : emuGetErrorString(code);
    emulator::heal(device_);
    return why;
  }

  emuStream_t stream = nullptr;

private:
  const int device_;
};

} // namespace polymla::test
