#pragma once
#include <cstdio>
#include <cstdlib>

/** Ends the test when something is not so. */
#define CHECK(condition, ...)                                                      \
  do {                                                                             \
    if (condition) break;                                                          \
    std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);           \
    std::fprintf(stderr, __VA_ARGS__);                                             \
    std::fprintf(stderr, "\n");                                                    \
    std::exit(1);                                                                  \
  } while (false)
