#include "rules.h"

#include <kit/problem.h>
#include <kit/report.h>

extern "C" pmla_status checkProblem(const pmla_problem *problem, pmla_error *error) {
  return polymla::guarded(error, [&] {
    const std::string why = polymla::tooLarge(polymla::readProblem(problem));
    if (!why.empty()) throw polymla::makeFailure(PMLA_UNSUPPORTED, "", "%s", why.c_str());
  });
}
