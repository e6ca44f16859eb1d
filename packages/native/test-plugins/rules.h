/*
 * The rules of polymla_backend.h about problems, as polymla's own backends check them (../kit), in C.
 */
#pragma once

#include <polymla_backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* PMLA_OK for a problem that keeps to every rule and whose tensors a memory could hold; else how it fails, told to `error`. */
pmla_status checkProblem(const pmla_problem *problem, pmla_error *error);

#ifdef __cplusplus
}
#endif
