// Results have the same bits whatever the number of threads, on every instruction set; and a replayed graph's
// too.

#include "../kernels/kernels.h"
#include "workload.h"

using namespace polymla::cpu;
using namespace polymla::cpu::test;

namespace {

Bytes run(const char *isa, const char *threads) {
  Workload work;
  work.make(threads, isa);
  work.launch();
  Bytes results = work.results();
  if (!work.ok()) fprintf(stderr, "%s, %s threads: %s\n", isa, threads, work.error.message);
  EXPECT(!results.empty());
  return results;
}

Bytes replay(const char *isa) {
  Workload work;
  work.make("2", isa);
  OK(work.l.capture_begin(work.stream, nullptr));
  work.launch();
  OK(work.l.capture_end(work.stream, &work.graph, nullptr));
  EXPECT(work.ok());
  work.launch();
  const Bytes once = work.results();
  for (int i = 0; i < 20; i++) {
    work.spoil();
    OK(work.l.graph_launch(work.graph, work.stream, nullptr));
    EXPECT(work.results() == once);
  }
  return once;
}

} // namespace

int main() {
  int count;
  const Kernels *const *all = allKernels(&count);
  for (int i = 0; i < count; i++) {
    const char *isa = all[i]->name;
    if (!all[i]->usable()) {
      printf("%s: not usable here\n", isa);
      continue;
    }
    printf("%s\n", isa);
    const Bytes one = run(isa, "1");
    for (const char *threads : {"2", "3", "8"}) EXPECT(run(isa, threads) == one);
    EXPECT(replay(isa) == one);
  }
  return finish();
}
