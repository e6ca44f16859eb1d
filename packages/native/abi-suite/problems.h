#pragma once

#include <kit/problem.h>

#include <string>
#include <vector>

#include "random.h"

namespace polymla::suite {

/** A small problem that a launch can be made of, and a name for it. */
struct Sample {
  std::string name;
  AnyProblem problem;
};

/** One or more of every op: formats, masks, several requests. */
std::vector<Sample> samples();

/** Any problem: most are legal, of sizes from 0 to beyond every memory; some break one rule. */
AnyProblem randomProblem(Random &random);

/** A small problem that is legal, and that a launch can be made of. */
AnyProblem randomSample(Random &random);

/** Whether the problem keeps to every rule of the header. */
bool isLegal(const AnyProblem &problem);

} // namespace polymla::suite
