#pragma once

#include <cstdint>

namespace polymla::suite::allocations {

/**
 * The suite's executable has malloc and its kin, which libraries bind to: it knows what a library allocates, and can let
 * an allocation fail. Calls from other libraries, such as a vendor's runtime, are neither counted nor failed.
 */

/** From now on calls from this code count, too; at most 8 ranges. */
void watch(const void *codeBegin, const void *codeEnd);
/** Lets the n-th allocation from now on (1, 2, …) fail, once; 0: none. */
void failAt(int64_t n);
/** Whether the allocation that was to fail has come and failed. */
bool hasFailed();
/** Blocks that the library has allocated and not given back. */
int64_t live();

} // namespace polymla::suite::allocations
