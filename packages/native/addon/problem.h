#pragma once

#include <polymla_backend.h>

namespace polymla {

/** A problem of any op. */
union Problem {
  pmla_problem head;
  pmla_decode_problem decode;
  pmla_sparse_decode_problem sparseDecode;
  pmla_sparse_prefill_problem sparsePrefill;
  pmla_append_kv_problem appendKv;
  pmla_merge_states_problem mergeStates;
  pmla_copy_pages_problem copyPages;
};

/** Reads what src/problem.ts wrote into the block: the op, then the members of its struct in order. */
Problem readProblem(const double *block);

}  // namespace polymla
