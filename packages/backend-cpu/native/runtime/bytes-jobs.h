#pragma once

#include <cstdint>
#include <memory>

#include "job.h"

namespace polymla::cpu {

/** Copies `bytes` bytes; large ranges in parts, on all threads. */
std::shared_ptr<const Job> copyJob(void *target, const void *source, uint64_t bytes);
/** Copies `bytes` bytes that it keeps a copy of. Throws std::bad_alloc. */
std::shared_ptr<const Job> stagedCopyJob(void *target, const void *source, uint64_t bytes);
/** Sets `bytes` bytes to `value`; large ranges in parts, on all threads. */
std::shared_ptr<const Job> fillJob(void *target, uint8_t value, uint64_t bytes);

} // namespace polymla::cpu
