#include "../runtime/system.h"
#include "kit/table.h"

PMLA_ELF_NOTE;

namespace {

constexpr pmla_library makeOwnTable() {
  pmla_library table = polymla::makeTable("cpu", POLYMLA_VERSION);
  table.event_notify = polymla::entries::event_notify;
  table.measure_peaks = polymla::entries::measure_peaks;
  return table;
}

constexpr pmla_library LIBRARY = makeOwnTable();

} // namespace

extern "C" PMLA_EXPORT pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library,
                                                   pmla_error *error) {
  polymla::cpu::forkCount(); // from here on, forks are counted
  return polymla::enterLibrary(host, LIBRARY, library, error);
}
