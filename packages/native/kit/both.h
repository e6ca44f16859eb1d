#pragma once
// PMLA_BOTH, for functions that kernels call, too: as their dialect marks them, plain C++ in a library without one.

#if defined(PMLA_DIALECT_GIVEN) || defined(PMLA_DIALECT_EMULATED) || defined(PMLA_DIALECT_CUDA) || \
    defined(PMLA_DIALECT_HIP) || defined(PMLA_DIALECT_MUSA) || defined(PMLA_DIALECT_MACA) || defined(PMLA_DIALECT_COREX)
#include "../gpu/dialect/marks.h"
#else
#define PMLA_BOTH inline
#endif
