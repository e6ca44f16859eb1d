#include <dlfcn.h>

#include <cstddef>
#include <thread>
#include <vector>

#include "../check.h"
#include "../guarded.h"

namespace polymla::suite {

namespace {

struct Member {
  const char *name;
  const void *code;
  bool required;
};

std::vector<Member> membersOf(const pmla_library &t) {
#define MEMBER(member, required) {#member, reinterpret_cast<const void *>(t.member), required}
  return {
      MEMBER(device_count, true),   MEMBER(device_info, true),     MEMBER(open, true),
      MEMBER(close, true),          MEMBER(memory_info, false),    MEMBER(alloc, true),
      MEMBER(release, true),        MEMBER(stream_new, true),      MEMBER(stream_free, true),
      MEMBER(upload, true),         MEMBER(download, true),        MEMBER(fill, true),
      MEMBER(copy, true),           MEMBER(event_new, true),       MEMBER(event_free, true),
      MEMBER(event_record, true),   MEMBER(event_wait, true),      MEMBER(event_query, true),
      MEMBER(event_elapsed, true),  MEMBER(event_notify, false),   MEMBER(capture_begin, false),
      MEMBER(capture_end, false),   MEMBER(graph_launch, false),   MEMBER(graph_free, false),
      MEMBER(fit, true),            MEMBER(plan_new, true),        MEMBER(plan_free, true),
      MEMBER(choose, false),        MEMBER(schedule, false),       MEMBER(decode, false),
      MEMBER(sparse_decode, false), MEMBER(sparse_prefill, false), MEMBER(append_kv, false),
      MEMBER(merge_states, false),  MEMBER(copy_pages, false),     MEMBER(measure_peaks, false),
      MEMBER(extension, false),
  };
#undef MEMBER
}

const pmla_library *tableFor(const Subject &subject, const pmla_host *host, const char *who) {
  const pmla_library *table = nullptr;
  ErrorRecord error;
  const pmla_status status = subject.entry()(host, &table, error.get());
  error.check(status, PMLA_ENTRY);
  require(status == PMLA_OK && table != nullptr, text(PMLA_ENTRY " refuses %s: %s", who, error.message().c_str()));
  return table;
}

/** Offsets cannot be asked for; but a member that lies elsewhere is no address of code. */
void requireCode(const pmla_library &table) {
  for (const auto &[name, code, required] : membersOf(table)) {
    if (code == nullptr) {
      require(!required, text("the required member %s is NULL", name));
      continue;
    }
    Dl_info info;
    require(dladdr(const_cast<void *>(code), &info) != 0, text("%s is not the address of a function", name));
  }
  const int captures = !!table.capture_begin + !!table.capture_end + !!table.graph_launch + !!table.graph_free;
  require(captures == 0 || captures == 4, "of the four members for graphs, some are NULL");
}

} // namespace

std::string checkTable(const Context &context) {
  const Subject &subject = context.subject;
  const pmla_library *first = tableFor(subject, &subject.host(), "this host");
  const size_t least = offsetof(pmla_library, extension) + sizeof first->extension;
  require(first->size >= least, text("the table has %u bytes, version 1.0 has %zu", first->size, least));
  require(first->abi_major == PMLA_ABI_MAJOR, text("abi_major is %u", first->abi_major));
  require(first->name != nullptr && first->name[0] != '\0', "the table has no name");
  for (const char *c = first->name; *c != '\0'; c++) {
    require((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_',
            text("the name %.40s is not short and lower-case", first->name));
  }
  require(first->version != nullptr && first->version[0] != '\0', "the table has no version");
  requireCode(*first);

  pmla_host newer[2];
  memset(newer, 0, sizeof newer);
  newer[0] = subject.host();
  newer[0].size = sizeof newer;
  newer[0].abi_minor = 99;
  require(tableFor(subject, newer, "a newer host") == first, "a newer host gets another table");
  const Guarded exact(sizeof(pmla_host));
  memcpy(exact.data(), &subject.host(), exact.size());
  require(tableFor(subject, exact.as<pmla_host>(), "the host again") == first, "a second call gives another table");

  const pmla_library *others[2] = {};
  std::thread threads[2];
  for (int i = 0; i < 2; i++) {
    threads[i] = std::thread([&, i] { subject.entry()(&subject.host(), &others[i], nullptr); });
  }
  for (auto &thread : threads) thread.join();
  require(others[0] == first && others[1] == first, "two threads at once get other tables");

  auto host = subject.host();
  host.abi_major = PMLA_ABI_MAJOR + 1;
  const pmla_library *table = nullptr;
  ErrorRecord error;
  const pmla_status status = subject.entry()(&host, &table, error.get());
  error.check(status, PMLA_ENTRY);
  require(status != PMLA_OK, "a host of the next major version is accepted");
  return text("%s %s, %u bytes, version %u.%u", first->name, first->version, first->size, first->abi_major,
              first->abi_minor);
}

std::string checkDevices(const Context &context) {
  const pmla_library &table = context.subject.table();
  int32_t count = -1;
  ErrorRecord counting;
  const pmla_status counted = table.device_count(&count, counting.get());
  counting.check(counted, "device_count");
  if (counted != PMLA_OK) {
    require(counted == PMLA_NO_DEVICE || counted == PMLA_DRIVER_TOO_OLD,
            text("device_count fails with status %d", counted));
    return "no devices: " + counting.message();
  }
  require(count >= 0 && count <= 1024, text("device_count says %d", count));
  for (int32_t i = 0; i < count; i++) {
    auto info = sized<pmla_device_info>();
    succeed("device_info", [&](pmla_error *error) { return table.device_info(i, &info, error); });
    require(info.size == sizeof info, "device_info changes the size of its answer");
    const std::string what = text("device %d: ", i);
    require(!textOf(info.name, sizeof info.name, "a device's name").empty(), what + "no name");
    require(!textOf(info.arch, sizeof info.arch, "a device's arch").empty(), what + "no arch");
    const auto reason = textOf(info.reason, sizeof info.reason, "a device's reason");
    const auto fix = textOf(info.fix, sizeof info.fix, "a device's fix");
    if (info.status == PMLA_OK) {
      require(info.score >= 0, what + text("score %d, of a usable device", info.score));
    } else {
      require(info.status > 0 && info.status <= PMLA_ABI_MISMATCH, what + text("status %d", info.status));
      require(!reason.empty() && !fix.empty(), what + "unusable without a reason and a fix");
    }
    require((info.flags & ~uint32_t{PMLA_DEVICE_ADOPTS_STREAMS | PMLA_DEVICE_ADOPTS_MEMORY}) == 0,
            what + text("flags %u", info.flags));
  }
  for (const int32_t index : {-1, count, count + 7, INT32_MAX, INT32_MIN}) {
    auto info = sized<pmla_device_info>();
    ErrorRecord error;
    const pmla_status status = table.device_info(index, &info, error.get());
    error.check(status, "device_info");
    require(status != PMLA_OK, text("device_info: there is a device %d of %d", index, count));
    pmla_device device = nullptr;
    ErrorRecord opening;
    const pmla_status opened = table.open(index, nullptr, 0, &device, opening.get());
    opening.check(opened, "open");
    require(opened != PMLA_OK, text("open: there is a device %d of %d", index, count));
  }
  return text("%d devices", count);
}

} // namespace polymla::suite
