#pragma once
#include <new>
#include <system_error>
#include <utility>

namespace polymla::emulator {

/**
 * What a device has by being there (registers, shared memory, processors) is memory of the host in an emulated one: a call
 * that takes some is made again where there is none at the moment. After a hundred times there is nothing else to do but end.
 */
template <class Call> void insist(Call &&call) {
  for (int tries = 1;; tries++) {
    try {
      return call();
    } catch (const std::bad_alloc &) {
      if (tries == 100) throw;
    } catch (const std::system_error &) { // no thread
      if (tries == 100) throw;
    }
  }
}

} // namespace polymla::emulator
