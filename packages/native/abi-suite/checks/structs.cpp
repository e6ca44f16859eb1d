#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "../check.h"
#include "../guarded.h"
#include "../work.h"

namespace polymla::suite {

std::string checkErrors(const Context &context) {
  const pmla_library &table = context.subject.table();
  const Device device(context.subject);
  const pmla_option unknown[] = {{"no-such-option", "1"}};
  pmla_device other = nullptr;
  ErrorRecord error;
  const pmla_status status = table.open(context.subject.device(), unknown, 1, &other, error.get());
  error.check(status, "open");
  require(status == PMLA_INVALID_ARGUMENT, text("open with an unknown option: status %d", status));
  // The same failure, told to nobody, to a host that knows little of errors, and to one that knows more.
  require(table.open(context.subject.device(), unknown, 1, &other, nullptr) == status, "open without an error to fill");
  for (const size_t size : {size_t{8}, offsetof(pmla_error, message), offsetof(pmla_error, message) + 10,
                            sizeof(pmla_error) + 64}) {
    const Guarded block(size);
    memset(block.data(), 0x5a, size);
    const auto claimed = static_cast<uint32_t>(size);
    memcpy(block.data(), &claimed, sizeof claimed);
    require(table.open(context.subject.device(), unknown, 1, &other, block.as<pmla_error>()) == status,
            text("open with an error of %zu bytes", size));
    pmla_status told;
    memcpy(&told, block.as<char>() + offsetof(pmla_error, status), sizeof told);
    require(told == status, text("an error of %zu bytes has no status", size));
    uint32_t kept;
    memcpy(&kept, block.data(), sizeof kept);
    require(kept == claimed, "an error's size is changed");
  }
  return "an unknown option, told to errors of 0 to " + std::to_string(sizeof(pmla_error) + 64) + " bytes";
}

namespace {

/** Calls with an answer of `size` bytes, behind which nothing may be written. */
template <class Fn> void answerOf(const char *what, size_t size, Fn &&call) {
  const Guarded block(size);
  memset(block.data(), 0x5a, size);
  const auto claimed = static_cast<uint32_t>(size);
  memcpy(block.data(), &claimed, sizeof claimed);
  ErrorRecord error;
  const pmla_status status = call(block.data(), error.get());
  error.check(status, what);
  uint32_t kept;
  memcpy(&kept, block.data(), sizeof kept);
  require(kept == claimed, text("%s: the size of an answer of %zu bytes is changed", what, size));
}

template <class Fn> void answersOf(const char *what, size_t whole, Fn &&call) {
  for (const size_t size : {size_t{4}, size_t{8}, whole / 2, whole, whole + 128}) answerOf(what, size, call);
}

pmla_status fitOf(const Device &device, const void *problem, pmla_fit &fit, ErrorRecord &error) {
  fit = sized<pmla_fit>();
  const pmla_status status = device.table.fit(device, static_cast<const pmla_problem *>(problem), &fit, error.get());
  error.check(status, "fit");
  return status;
}

/** A problem of `size` bytes, its struct's bytes first and `fill` behind them, at the end of memory. */
struct Resized {
  Resized(const AnyProblem &problem, size_t size, unsigned char fill) : block(size) {
    memset(block.data(), fill, size);
    memcpy(block.data(), &problem, std::min<size_t>(size, problem.head.size));
    const auto claimed = static_cast<uint32_t>(size);
    memcpy(block.data(), &claimed, std::min(size, sizeof claimed));
  }
  Guarded block;
};

void requireReadTo(const Device &device, const Sample &sample) {
  pmla_fit whole, fit;
  ErrorRecord first;
  const pmla_status answer = fitOf(device, &sample.problem, whole, first);
  const size_t size = sample.problem.head.size;
  // A host that is older than any: less than version 1.0 has.
  for (const size_t less : {size_t{4}, size_t{8}, size / 2, size - 4}) {
    const Resized shorter(sample.problem, less, 0);
    ErrorRecord error;
    const pmla_status status = fitOf(device, shorter.block.data(), fit, error);
    const bool refused = status == PMLA_OK && fit.grade == PMLA_FIT_NO;
    require(refused || status == PMLA_INVALID_ARGUMENT || status == PMLA_UNSUPPORTED,
            text("fit of %s with %zu of %zu bytes: status %d", sample.name.c_str(), less, size, status));
    pmla_plan plan = nullptr;
    ErrorRecord planning;
    const pmla_status made = device.table.plan_new(device, shorter.block.as<pmla_problem>(), &plan, planning.get());
    planning.check(made, "plan_new");
    require(made != PMLA_OK, text("plan_new of %s with %zu of %zu bytes", sample.name.c_str(), less, size));
  }
  const Resized same(sample.problem, size + 64, 0);
  ErrorRecord second;
  require(fitOf(device, same.block.data(), fit, second) == answer && fit.grade == whole.grade,
          text("fit of %s, with 64 bytes of zeros more, is another", sample.name.c_str()));
  const Resized other(sample.problem, size + 64, 1);
  ErrorRecord third;
  const pmla_status status = fitOf(device, other.block.data(), fit, third);
  require(status == PMLA_UNSUPPORTED || (status == PMLA_OK && fit.grade == PMLA_FIT_NO),
          text("fit of %s, with members that only a newer host knows: status %d, grade %u", sample.name.c_str(), status,
               fit.grade));
}

} // namespace

std::string checkSizes(const Context &context) {
  const pmla_library &table = context.subject.table();
  const Device device(context.subject);
  answersOf("device_info", sizeof(pmla_device_info), [&](void *info, pmla_error *error) {
    return table.device_info(context.subject.device(), static_cast<pmla_device_info *>(info), error);
  });
  const auto all = samples();
  for (const Sample &sample : all) {
    answersOf("fit", sizeof(pmla_fit), [&](void *fit, pmla_error *error) {
      return table.fit(device, &sample.problem.head, static_cast<pmla_fit *>(fit), error);
    });
    requireReadTo(device, sample);
  }
  ErrorRecord error;
  auto fit = sized<pmla_fit>();
  const pmla_status status = table.fit(device, nullptr, &fit, error.get());
  error.check(status, "fit");
  require(status != PMLA_OK, "fit of NULL succeeds");
  return text("device_info, and %zu problems, of five lengths each", all.size());
}

namespace {

struct EnumField {
  const char *name;
  size_t offset;
  std::vector<uint32_t> known;
};

const std::vector<uint32_t> DTYPES{1, 2, 3, 4}, FORMATS{1, 2, 3, 4, 5, 6}, WORDS{0, 1, 2}, NONE{0};

#define FIELD(type, member, known) {#member, offsetof(type, member), known}

std::vector<EnumField> enumsOf(uint32_t op) {
  std::vector<uint32_t> flags;
  for (uint32_t i = 0; i < 16; i++) flags.push_back(i);
  switch (op) {
  case PMLA_OP_DECODE:
    return {FIELD(pmla_decode_problem, q_dtype, DTYPES), FIELD(pmla_decode_problem, out_dtype, DTYPES),
            FIELD(pmla_decode_problem, mask, WORDS), FIELD(pmla_decode_problem, cache.format, FORMATS)};
  case PMLA_OP_SPARSE_DECODE:
    return {FIELD(pmla_sparse_decode_problem, q_dtype, DTYPES), FIELD(pmla_sparse_decode_problem, out_dtype, DTYPES),
            FIELD(pmla_sparse_decode_problem, flags, flags), FIELD(pmla_sparse_decode_problem, cache.format, FORMATS)};
  case PMLA_OP_SPARSE_PREFILL:
    return {FIELD(pmla_sparse_prefill_problem, dtype, DTYPES), FIELD(pmla_sparse_prefill_problem, out_dtype, DTYPES),
            FIELD(pmla_sparse_prefill_problem, flags, flags)};
  case PMLA_OP_APPEND_KV:
    return {FIELD(pmla_append_kv_problem, dtype, DTYPES), FIELD(pmla_append_kv_problem, rotary, WORDS),
            FIELD(pmla_append_kv_problem, cache.format, FORMATS)};
  case PMLA_OP_MERGE_STATES:
    return {FIELD(pmla_merge_states_problem, dtype, DTYPES), FIELD(pmla_merge_states_problem, out_dtype, DTYPES)};
  default:
    return {FIELD(pmla_copy_pages_problem, cache.format, FORMATS)};
  }
}

} // namespace

std::string checkEnums(const Context &context) {
  const Device device(context.subject);
  int64_t asked = 0, accepted = 0;
  for (const Sample &sample : samples()) {
    auto fields = enumsOf(sample.problem.head.op);
    fields.push_back({"op", offsetof(pmla_problem, op), {1, 2, 3, 4, 5, 6}});
    for (const auto &[name, offset, known] : fields) {
      for (const uint32_t value :
           {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 16u, 31u, 32u, 255u, 65536u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
        if (offset == offsetof(pmla_problem, op) && value == sample.problem.head.op) continue;
        AnyProblem changed = sample.problem;
        memcpy(reinterpret_cast<char *>(&changed) + offset, &value, sizeof value);
        const bool isKnown = std::find(known.begin(), known.end(), value) != known.end();
        // Another op reads the bytes as another struct: what it makes of them is its affair, but it must not crash.
        const pmla_fit fit = askFit(device, &changed.head);
        asked++;
        if (fit.grade == PMLA_FIT_NO) continue;
        require(isKnown, text("fit of %s accepts %s = %u", sample.name.c_str(), name, value));
        accepted++;
      }
    }
  }
  return text("%lld values, %lld of them accepted", static_cast<long long>(asked), static_cast<long long>(accepted));
}

namespace {

/** kit's describe takes checked problems. */
std::string anyInWords(const AnyProblem &problem) {
  return isLegal(problem) ? describe(problem) : text("a problem of op %u that breaks a rule", problem.head.op);
}

enum class Answer { REFUSED, PLANNED, OUT_OF_MEMORY };

/** Asks twice, and whether plan_new agrees. */
Answer answerTo(const Device &device, const AnyProblem &problem) {
  const Guarded block(problem.head.size);
  memcpy(block.data(), &problem, block.size());
  const auto *head = block.as<pmla_problem>();
  const pmla_fit fit = askFit(device, head), again = askFit(device, head);
  const bool accepted = fit.grade != PMLA_FIT_NO;
  if (fit.grade != again.grade || fit.workspace_bytes != again.workspace_bytes ||
      fit.max_partitions != again.max_partitions || fit.flags != again.flags) {
    throw Failed{"fit gives two answers to " + anyInWords(problem)};
  }
  if (accepted && !isLegal(problem)) throw Failed{"fit accepts " + anyInWords(problem)};
  pmla_plan plan = nullptr;
  ErrorRecord error;
  const pmla_status status = device.table.plan_new(device, head, &plan, error.get());
  error.check(status, "plan_new");
  if (status == PMLA_OK) {
    device.table.plan_free(plan);
    if (!accepted) throw Failed{"plan_new succeeds for what fit refuses: " + anyInWords(problem)};
    return Answer::PLANNED;
  }
  if (!accepted) return Answer::REFUSED;
  if (status == PMLA_OUT_OF_MEMORY) return Answer::OUT_OF_MEMORY;
  throw Failed{text("plan_new fails with status %d (%s) for what fit accepts: ", status, error.message().c_str()) +
               anyInWords(problem)};
}

} // namespace

std::string checkFit(const Context &context) {
  const Device device(context.subject);
  Stream stream(device);
  Random random(context.seed);
  const int64_t problems = 2000 * context.effort, launches = 40 * context.effort;
  int64_t planned = 0, tooLargeNow = 0, launched = 0;
  for (int64_t i = 0; i < problems; i++) {
    const Answer answer = answerTo(device, randomProblem(random));
    if (answer == Answer::PLANNED) planned++;
    if (answer == Answer::OUT_OF_MEMORY) tooLargeNow++;
  }
  // Small ones that fit are launched: the answer was true.
  for (int64_t i = 0; i < launches; i++) {
    const AnyProblem problem = randomSample(random);
    try {
      Work work(device, {describe(problem), problem}, {context.seed + static_cast<uint64_t>(i), 0xff, false});
      work.run(stream);
      launched++;
    } catch (const Skipped &) {
      // fit said no, with a reason.
    }
  }
  return text("%lld problems, %lld planned, %lld out of memory; %lld of %lld small ones launched",
              static_cast<long long>(problems), static_cast<long long>(planned), static_cast<long long>(tooLargeNow),
              static_cast<long long>(launched), static_cast<long long>(launches));
}

} // namespace polymla::suite
