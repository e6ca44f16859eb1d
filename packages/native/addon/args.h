#pragma once

#include <polymla_backend.h>

#include "block.h"

namespace polymla {

/** Read what src/launch-args.ts wrote into the block: the members of a launch's arguments in order. */
pmla_schedule_args readScheduleArgs(const double *block);
pmla_decode_args readDecodeArgs(const double *block);
pmla_sparse_decode_args readSparseDecodeArgs(const double *block);
pmla_sparse_prefill_args readSparsePrefillArgs(const double *block);
pmla_append_kv_args readAppendKvArgs(const double *block);
pmla_merge_states_args readMergeStatesArgs(const double *block);
pmla_copy_pages_args readCopyPagesArgs(const double *block);

}  // namespace polymla
