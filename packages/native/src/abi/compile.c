/* Compiles as C and as C++: the header twice, its note, its macro and its inline functions. */
#include <polymla_backend.h>
#include <polymla_backend.h>

PMLA_ELF_NOTE;

static pmla_status count(int32_t *found, pmla_error *error) {
  pmla_error unknown;
  (void)error;
  *found = 1;
  return pmla_read(&unknown, sizeof unknown, error, sizeof(uint32_t));
}

pmla_status pmla_library_v1(const pmla_host *host, const pmla_library **library, pmla_error *error) {
  static pmla_library table;
  const pmla_entry sameType = pmla_library_v1;
  (void)sameType;
  if (!PMLA_HAS(pmla_host, host, log)) return PMLA_ABI_MISMATCH;
  table.size = sizeof table;
  table.device_count = count;
  *library = &table;
  return pmla_write(error, error, sizeof *error);
}
