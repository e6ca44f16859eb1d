#pragma once
#include <cstdio>

/** What the tests have in common. */
namespace polymla::test {

inline int failures = 0;

/** Counts what is not as expected and prints the first ones. */
#define EXPECT(condition) ::polymla::test::expect((condition), __FILE__, __LINE__, #condition)

inline bool expect(bool condition, const char* file, int line, const char* text) {
  if (!condition && ++failures <= 20) std::fprintf(stderr, "%s:%d: expected %s\n", file, line, text);
  return condition;
}

inline int finish() {
  std::printf(failures > 0 ? "%d failures\n" : "all passed\n", failures);
  return failures > 0;
}

}  // namespace polymla::test
