// A mock of a device whose programs are compiled ahead of time, one per shape, as TyLLM does for Intellifusion's Edge10. What
// its interface is could not be read; this one is made up, and shows only how compiling fits in: what can be compiled is
// known beforehand, compiling takes long and may fail, and a program runs one shape.
#pragma once

#include "lineage.h"

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

namespace aot {

struct Shape {
  int queryTokens, heads, pageSize;
  bool causal;
  bool operator<(const Shape &o) const {
    return std::tie(queryTokens, heads, pageSize, causal) < std::tie(o.queryTokens, o.heads, o.pageSize, o.causal);
  }
};

/** A compiled program. */
struct Program {
  Shape shape;
  void run(lineage::ForwardParams params) const {
    params.queryTokens = shape.queryTokens;
    params.heads = shape.heads;
    params.pageSize = shape.pageSize;
    params.causal = shape.causal;
    lineage::forward(params);
  }
};

/** Whether the compiler takes a shape: asked by fit, answered without compiling. */
inline bool canCompile(const Shape &shape) { return shape.heads % 16 == 0 && shape.pageSize == 64; }

/** Compiles, or takes what has been compiled: plans of one shape share a program. */
inline std::shared_ptr<const Program> compile(const Shape &shape) {
  static std::mutex &mutex = *new std::mutex;
  static auto &programs = *new std::map<Shape, std::weak_ptr<const Program>>;
  const std::lock_guard<std::mutex> lock(mutex);
  if (auto known = programs[shape].lock()) return known;
  auto made = std::make_shared<const Program>(Program{shape});
  programs[shape] = made;
  return made;
}

} // namespace aot
