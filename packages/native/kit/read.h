#pragma once

#include "failure.h"

namespace polymla {

/** Bytes of a struct up to and with `member`, the last one it had when it came into the header. */
#define PMLA_LEAST(type, member) (offsetof(type, member) + sizeof(type::member))

/** A sized struct as this library knows it. Throws Failure as pmla_read answers. */
template <class Struct> Struct readStruct(const Struct *from, size_t least, const char *name) {
  Struct read;
  const pmla_status status = pmla_read(&read, sizeof read, from, least);
  if (status == PMLA_INVALID_ARGUMENT) {
    throw makeFailure(status, "", "%s: expected a struct of %zu to 65536 bytes, found %u", name, least,
                      from == nullptr ? 0 : from->size);
  }
  if (status == PMLA_UNSUPPORTED) {
    throw makeFailure(status, "Update the backend", "%s: has members that this backend does not know", name);
  }
  return read;
}

/** Writes a sized struct as far as its receiver knows it. Throws Failure when there is no receiver. */
template <class Struct> void writeStruct(Struct *to, const Struct &from, const char *name) {
  if (pmla_write(to, &from, sizeof from) != PMLA_OK) {
    throw makeFailure(PMLA_INVALID_ARGUMENT, "", "%s: expected a struct with its size, found NULL or none",
                      name);
  }
}

} // namespace polymla
