#pragma once

#include <memory>
#include <string>
#include <vector>

#include "problems.h"
#include "schedule.h"
#include "subject.h"

namespace polymla::suite {

/** What a library answers to a problem. Throws Failed for an answer that breaks a rule. */
pmla_fit askFit(const Device &device, const pmla_problem *problem);

/** Which sides of memory end where a page ends that must not be touched. */
enum class Fenced { NONE, AFTER, BEFORE };

/** How the inputs of a Work are made. */
struct WorkOptions {
  uint64_t seed = 1;
  /** What the bytes around every tensor hold. */
  uint8_t surroundings = 0xff;
  /** Structs end where memory ends, and are sealed once the call that they are for has returned. */
  bool guarded = false;
  /** Tensors begin or end there, too: on devices whose memory is the host's. */
  Fenced tensors = Fenced::NONE;
};

/** A problem with everything that a launch of it needs, in device memory. */
class Work {
public:
  /** Throws Skipped where the device does not do the problem, CallFailed where something could not be made. */
  Work(const Device &device, const Sample &sample, const WorkOptions &options = {});
  /** Waits for what was enqueued. */
  ~Work();
  Work(const Work &) = delete;

  /** Enqueues: inputs, and outputs filled with bytes that no result has. */
  void upload(Stream &stream);
  void launch(Stream &stream);
  /** Enqueues what the launch has written; valid when the stream has got there. */
  void download(Stream &stream);
  /** All of it, and waits. Returns the outputs. */
  std::vector<uint8_t> run(Stream &stream);
  /** Outputs that were downloaded. Throws Failed where they are untouched, or something around a tensor is not. */
  std::vector<uint8_t> outputs() const;

  const std::string name;

private:
  struct Tensor;
  class Plan;

  template <class T = void> T *input(const char *what, std::vector<uint8_t> content);
  template <class T = void> T *output(const char *what, int64_t bytes, size_t element = 0);
  void *workspace(uint64_t bytes);
  Tensor &make(const char *what, size_t bytes, size_t alignment = 1);
  void makeSchedules(const std::vector<int64_t> &pages, int64_t splitPages, pmla_schedule &to);
  void makeDecode();
  void makeSparseDecode();
  void makeSparsePrefill();
  void makeAppendKv();
  void makeMergeStates();
  void makeCopyPages();

  const Device &device_;
  const AnyProblem problem_;
  const WorkOptions options_;
  Random random_;
  pmla_fit fit_{};
  std::unique_ptr<Plan> plan_;
  std::vector<std::unique_ptr<Tensor>> tensors_;
  union {
    pmla_decode_args decode;
    pmla_sparse_decode_args sparseDecode;
    pmla_sparse_prefill_args sparsePrefill;
    pmla_append_kv_args appendKv;
    pmla_merge_states_args mergeStates;
    pmla_copy_pages_args copyPages;
  } args_;
  Stream *used_ = nullptr;
};

/** Whether what `alloc` gives is memory of this process. */
bool hasHostMemory(const Device &device);

/** Those of the samples that the device does, at most that many. Throws Skipped where there are none. */
std::vector<Sample> doable(const Device &device, size_t most);

} // namespace polymla::suite
