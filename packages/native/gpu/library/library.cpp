#include "kit/table.h"
#include "own.h"

PMLA_ELF_NOTE;

namespace {

constexpr pmla_library makeOwnTable() {
  pmla_library table = polymla::makeTable(polymla::own::name, POLYMLA_VERSION);
  if (!polymla::own::sparse) {
    table.sparse_decode = nullptr;
    table.sparse_prefill = nullptr;
  }
  return table;
}

constexpr pmla_library library_v1 = makeOwnTable();

}  // namespace

extern "C" PMLA_EXPORT pmla_status pmla_library_v1(const pmla_host* host, const pmla_library** library, pmla_error* error) {
  return polymla::enterLibrary(host, library_v1, library, error);
}
