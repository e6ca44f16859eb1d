#include "subject.h"

#include <dlfcn.h>
#include <link.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

namespace polymla::suite {

namespace {

/** The pattern of bytes that nobody wrote. */
constexpr unsigned char UNTOUCHED = 0xa7;

bool isUtf8(const unsigned char *text, size_t length) {
  for (size_t i = 0; i < length;) {
    const unsigned char lead = text[i++];
    int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    if (more < 0) return false;
    // A text that was cut may end inside a character.
    for (; more > 0 && i < length; more--) {
      if (text[i++] >> 6 != 2) return false;
    }
  }
  return true;
}

} // namespace

Subject::Subject(const std::string &path, int32_t device, std::vector<pmla_option> options)
    : path_(path), device_(device), options_(std::move(options)) {
  host_ = {sizeof host_, PMLA_ABI_MAJOR, PMLA_ABI_MINOR, static_cast<uint32_t>(getpid()), nullptr, nullptr};
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char *why = dlerror();
    throw Failed{text("it does not load: %s", why ? why : "no reason")};
  }
  entry_ = reinterpret_cast<pmla_entry>(dlsym(handle, PMLA_ENTRY));
  require(entry_ != nullptr, "it does not export " PMLA_ENTRY);
  const pmla_library *table = nullptr;
  ErrorRecord error;
  const pmla_status status = entry_(&host_, &table, error.get());
  error.check(status, PMLA_ENTRY);
  require(status == PMLA_OK, text(PMLA_ENTRY " fails with status %d: %s", status, error.message().c_str()));
  require(table != nullptr, PMLA_ENTRY " succeeds and gives no table");
  require(table->size >= offsetof(pmla_library, name) && table->size <= 65536,
          text("the table claims %u bytes", table->size));
  memcpy(&table_, table, table->size < sizeof table_ ? table->size : sizeof table_);
}

bool Subject::owns(const void *address) const {
  Dl_info info;
  if (dladdr(const_cast<void *>(address), &info) == 0 || info.dli_fname == nullptr) return false;
  return path_ == info.dli_fname || strstr(info.dli_fname, "libstdc++") != nullptr ||
         strstr(info.dli_fname, "libc++") != nullptr;
}

ErrorRecord::ErrorRecord() {
  memset(&record_, UNTOUCHED, sizeof record_);
  record_.size = sizeof record_;
}

void ErrorRecord::check(pmla_status status, const char *call) const {
  ErrorRecord untouched;
  const bool same = memcmp(&record_, &untouched.record_, sizeof record_) == 0;
  if (status == PMLA_OK || status == PMLA_NOT_READY) {
    require(same, text("%s succeeds and writes its error", call));
    return;
  }
  require(!same, text("%s fails with status %d and leaves its error as it was", call, status));
  require(record_.size == sizeof record_, text("%s changes the size of its error", call));
  require(record_.status == status, text("%s returns status %d, and its error says %d", call, status, record_.status));
  const std::string message = textOf(record_.message, sizeof record_.message, "an error's message");
  require(!message.empty(), text("%s fails with status %d without a message", call, status));
  textOf(record_.fix, sizeof record_.fix, "an error's fix");
}

std::string ErrorRecord::message() const {
  return {record_.message, strnlen(record_.message, sizeof record_.message)};
}

std::string textOf(const char *chars, size_t size, const char *what) {
  const size_t length = strnlen(chars, size);
  require(length < size, text("%s has no NUL", what));
  require(isUtf8(reinterpret_cast<const unsigned char *>(chars), length), text("%s is not UTF-8", what));
  return {chars, length};
}

Device::Device(const Subject &subject) : table(subject.table()) {
  succeed("open", [&](pmla_error *error) {
    const auto &options = subject.options();
    return table.open(subject.device(), options.data(), static_cast<int32_t>(options.size()), &handle_, error);
  });
  require(handle_ != nullptr, "open succeeds and gives no device");
}

Device::~Device() { table.close(handle_); }

Stream::Stream(const Device &device) : table(device.table), device_(device) {
  succeed("stream_new", [&](pmla_error *error) { return table.stream_new(device, nullptr, &handle_, error); });
}

Stream::~Stream() { table.stream_free(handle_); }

void Stream::upload(void *target, const void *source, size_t bytes) {
  if (bytes == 0) return;
  succeed("upload", [&](pmla_error *error) { return table.upload(handle_, target, source, bytes, error); });
}

void Stream::download(void *target, const void *source, size_t bytes) {
  if (bytes == 0) return;
  succeed("download", [&](pmla_error *error) { return table.download(handle_, target, source, bytes, error); });
}

void Stream::fill(void *target, uint8_t value, size_t bytes) {
  if (bytes == 0) return;
  succeed("fill", [&](pmla_error *error) { return table.fill(handle_, target, value, bytes, error); });
}

void Stream::finish() {
  Event event(device_);
  event.record(handle_);
  event.wait();
}

Event::Event(const Device &device) : table(device.table) {
  succeed("event_new", [&](pmla_error *error) { return table.event_new(device, &handle_, error); });
}

Event::~Event() { table.event_free(handle_); }

void Event::record(pmla_stream stream) {
  succeed("event_record", [&](pmla_error *error) { return table.event_record(handle_, stream, error); });
}

void Event::wait() {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (;;) {
    ErrorRecord error;
    const pmla_status status = table.event_query(handle_, error.get());
    error.check(status, "event_query");
    if (status == PMLA_OK) return;
    if (status != PMLA_NOT_READY) throw CallFailed{status, "event_query", error.message()};
    require(std::chrono::steady_clock::now() < limit, "an event has not happened after a minute");
    const timespec pause{0, 20'000};
    nanosleep(&pause, nullptr);
  }
}

} // namespace polymla::suite
