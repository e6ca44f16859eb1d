#pragma once

#include <string>

#include "polymla_backend.h"

namespace polymla {

/** A problem of any op; `head` tells which. */
union AnyProblem {
  pmla_problem head;
  pmla_decode_problem decode;
  pmla_sparse_decode_problem sparseDecode;
  pmla_sparse_prefill_problem sparsePrefill;
  pmla_append_kv_problem appendKv;
  pmla_merge_states_problem mergeStates;
  pmla_copy_pages_problem copyPages;
};

/** Reads a problem and checks it by every rule of the header. Throws Failure. */
AnyProblem readProblem(const pmla_problem *problem);

/** Which tensor of a checked problem no memory could hold; empty when there is none. Then sizes fit into
 * int64. */
std::string tooLarge(const AnyProblem &problem);

/** For messages, such as "merge_states (f32, parts 2, batch 4, heads 128)". */
std::string describe(const AnyProblem &problem);

/** As in the header's function names, such as "sparse_decode"; "unknown op" for what is none. */
const char *opName(uint32_t op);
/** Bytes of an element; 0 for what is no pmla_dtype. */
int64_t elementBytes(uint32_t dtype);
/** Bytes of an element of a cache: of the packed formats, 1. */
int64_t cacheElementBytes(uint32_t format);

} // namespace polymla
