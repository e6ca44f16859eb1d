#include "fit.h"

#include <cstdio>

#include "read.h"

namespace polymla {

void writeFit(pmla_fit *to, const Fit &fit) {
  pmla_fit filled{};
  filled.grade = static_cast<uint32_t>(fit.grade);
  filled.workspace_bytes = fit.workspaceBytes;
  filled.max_partitions = fit.maxPartitions;
  filled.fixed_overhead = fit.fixedOverhead;
  filled.flags = fit.schedules ? PMLA_FIT_SCHEDULES : 0;
  snprintf(filled.why, sizeof filled.why, "%s", fit.why.c_str());
  writeStruct(to, filled, "fit");
}

} // namespace polymla
