#include "library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace polymla {
namespace {

constexpr size_t MAX_LOG_TEXT = 4096;
/** A table that claims more is garbage. */
constexpr uint32_t MAX_TABLE_BYTES = 65536;

Failure refused(int32_t status, const std::string &path, const std::string &why, const std::string &fix) {
  return {status, 0, path + ": " + why, fix, ""};
}

Failure wrongVersion(const std::string &path, const std::string &why) {
  return refused(PMLA_ABI_MISMATCH, path, why, "Install a build of the backend for this version of polymla");
}

/** The first required member that a table lacks, or NULL. */
const char *missingMember(const pmla_library &table) {
#define REQUIRE(member) \
  if (!table.member) return #member
  REQUIRE(name);
  REQUIRE(version);
  REQUIRE(device_count);
  REQUIRE(device_info);
  REQUIRE(open);
  REQUIRE(close);
  REQUIRE(alloc);
  REQUIRE(release);
  REQUIRE(stream_new);
  REQUIRE(stream_free);
  REQUIRE(upload);
  REQUIRE(download);
  REQUIRE(fill);
  REQUIRE(copy);
  REQUIRE(event_new);
  REQUIRE(event_free);
  REQUIRE(event_record);
  REQUIRE(event_wait);
  REQUIRE(event_query);
  REQUIRE(event_elapsed);
  REQUIRE(fit);
  REQUIRE(plan_new);
  REQUIRE(plan_free);
#undef REQUIRE
  return nullptr;
}

}  // namespace

Library &Library::at(const std::string &path, const std::shared_ptr<LogListener> &listener) {
  // Never destroyed: libraries' threads may log until the process is gone.
  static std::mutex &mutex = *new std::mutex;
  static auto &libraries = *new std::map<std::string, Library *>;
  Library *library;
  {
    std::lock_guard lock(mutex);
    Library *&known = libraries[path];
    if (!known) known = new Library(path);
    library = known;
  }
  if (listener) library->addListener(listener);
  std::lock_guard lock(library->mutex_);
  if (!library->loaded_) library->load();
  return *library;
}

Library::Library(const std::string &path)
    : path_(path),
      host_{sizeof host_, PMLA_ABI_MAJOR, PMLA_ABI_MINOR, static_cast<uint32_t>(getpid()), Library::log, this} {}

void Library::load() {
  void *handle = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    throw refused(HOST_LOAD_FAILED, path_, why ? why : "dlopen failed", "Reinstall the backend, or build it again");
  }
  const auto entry = reinterpret_cast<pmla_entry>(dlsym(handle, PMLA_ENTRY));
  if (!entry) {
    throw wrongVersion(path_, "expected the function " PMLA_ENTRY ", found none: not a backend of this major version");
  }
  const pmla_library *given = nullptr;
  ErrorRecord error;
  const pmla_status status = entry(&host_, &given, error.get());
  if (status != PMLA_OK) throw error.failure(status, PMLA_ENTRY, "");
  if (!given) throw refused(HOST_LOAD_FAILED, path_, PMLA_ENTRY " gave no table", "Reinstall the backend");
  if (given->size < offsetof(pmla_library, name) || given->size > MAX_TABLE_BYTES) {
    throw wrongVersion(path_, "the table claims " + std::to_string(given->size) + " bytes");
  }
  if (given->abi_major != PMLA_ABI_MAJOR) {
    throw wrongVersion(path_, "expected ABI major version " + std::to_string(PMLA_ABI_MAJOR) + ", found " +
                                  std::to_string(given->abi_major));
  }
  pmla_library table{};
  memcpy(&table, given, std::min<size_t>(given->size, sizeof table));
  if (const char *member = missingMember(table)) {
    throw wrongVersion(path_, std::string("the table lacks the required member ") + member);
  }
  const int captures = !!table.capture_begin + !!table.capture_end + !!table.graph_launch + !!table.graph_free;
  if (captures != 0 && captures != 4) {
    throw wrongVersion(path_, "capture_begin, capture_end, graph_launch and graph_free come together or not at all");
  }
  table_ = table;
  loaded_ = true;
}

void Library::addListener(const std::shared_ptr<LogListener> &listener) {
  std::lock_guard lock(listenersMutex_);
  std::erase_if(listeners_, [&](const auto &known) { return known.expired() || known.lock() == listener; });
  listeners_.push_back(listener);
}

void Library::log(void *context, int32_t level, const char *message) {
  if (!context || !message) return;
  auto &library = *static_cast<Library *>(context);
  const std::string text = boundedText(message, MAX_LOG_TEXT);
  std::lock_guard lock(library.listenersMutex_);
  for (const auto &known : library.listeners_) {
    if (const auto listener = known.lock()) listener->log(library.path_, level, text);
  }
}

}  // namespace polymla
