#include "device.h"

#include "stream.h"

namespace polymla {
namespace {

/** JavaScript's numbers hold addresses and sizes below this exactly. */
constexpr uint64_t MAX_SAFE = uint64_t{1} << 53;
constexpr uintptr_t ALIGNMENT = 256;

uint32_t flagsOf(const pmla_library &table, int32_t index, const std::string &id) {
  pmla_device_info info{};
  info.size = sizeof info;
  ErrorRecord error;
  const pmla_status status = table.device_info(index, &info, error.get());
  if (status != PMLA_OK) throw error.failure(status, "device_info", id);
  return info.flags;
}

}  // namespace

std::shared_ptr<Device> Device::open(Library &library, int32_t index, std::string id, const Options &options) {
  const uint32_t flags = flagsOf(library.table(), index, id);
  std::vector<pmla_option> given;
  for (const auto &[key, value] : options) given.push_back({key.c_str(), value.c_str()});
  pmla_device handle = nullptr;
  ErrorRecord error;
  const pmla_status status =
      library.table().open(index, given.data(), static_cast<int32_t>(given.size()), &handle, error.get());
  if (status != PMLA_OK) throw error.failure(status, "open", id);
  if (!handle) throw Failure{PMLA_INTERNAL, 0, "open gave no device", "", id};
  try {
    return std::shared_ptr<Device>(new Device(library, handle, id, flags));
  } catch (...) {
    library.table().close(handle);
    throw;
  }
}

Device::Device(Library &library, pmla_device handle, std::string id, uint32_t flags)
    : library_(library),
      handle_(handle),
      id_(std::move(id)),
      flags_(flags),
      events_(std::make_shared<EventPool>(library.table(), handle)),
      waiter_(Waiter::start(library, id_)) {}

Device::~Device() {
  if (!disposed_) close([] {});
}

void Device::fail(Failure failure) {
  failure.device = id_;
  if (failure.status == PMLA_DEVICE_LOST) waiter_->lose(failure);
  throw failure;
}

void Device::check(pmla_status status, const ErrorRecord &error, const char *call) {
  if (status != PMLA_OK) fail(error.failure(status, call, id_));
}

void Device::assertUsable() {
  if (disposed_) throw Failure{HOST_DISPOSED, 0, "device " + id_ + " was used after it was disposed", "", id_};
  if (waiter_->isLost()) throw *waiter_->lost();
}

void *Device::alloc(uint64_t bytes) {
  assertUsable();
  void *memory = nullptr;
  ErrorRecord error;
  pmla_status status = table().alloc(handle_, bytes, &memory, error.get());
  if (status == PMLA_OUT_OF_MEMORY && *retiredBytes_ > 0) {
    waiter_->sweep();
    status = table().alloc(handle_, bytes, &memory, error.get());
    if (const uint64_t held = *retiredBytes_; status == PMLA_OUT_OF_MEMORY && held > 0) {
      Failure failure = error.failure(status, "alloc", id_);
      failure.fix = "Work in flight still holds " + std::to_string(held) +
                    " bytes that were freed: await device.synchronize() and try again";
      throw failure;
    }
  }
  check(status, error, "alloc");
  const auto address = reinterpret_cast<uintptr_t>(memory);
  if (address != 0 && address % ALIGNMENT == 0 && address < MAX_SAFE) return memory;
  if (address != 0) table().release(handle_, memory);
  throw Failure{PMLA_INTERNAL, 0,
                "alloc: expected an address below 2^53 that is a multiple of 256, found " + std::to_string(address),
                "Update the backend", id_};
}

std::shared_ptr<Mark> Device::record(Stream &stream) {
  const pmla_event event = events_->take(id_);
  ErrorRecord error;
  const pmla_status status = table().event_record(event, stream.native(), error.get());
  if (status != PMLA_OK) {
    events_->give(event, false);
    check(status, error, "event_record");
  }
  return std::make_shared<Mark>(events_, event);
}

bool Device::poll(Mark &mark) {
  if (mark.settled()) return true;
  if (waiter_->isLost()) {
    mark.fail(*waiter_->lost());
  } else if (mark.poll(id_) && mark.failure() && mark.failure()->status == PMLA_DEVICE_LOST) {
    waiter_->lose(*mark.failure());
  }
  return mark.settled();
}

Marks Device::busyMarks() {
  std::erase_if(streams_, [](const auto &stream) {
    const bool gone = stream->freed();
    if (gone) stream->forget();
    return gone;
  });
  Marks marks;
  for (const auto &stream : streams_) {
    if (auto mark = stream->busyMark()) marks.push_back(std::move(mark));
  }
  return marks;
}

void Device::retire(std::function<void()> free, uint64_t bytes) {
  auto then = [free = std::move(free), bytes, retired = retiredBytes_] {
    free();
    *retired -= bytes;
  };
  *retiredBytes_ += bytes;
  unmarked_.push_back(std::move(then));
  Marks marks;
  try {
    marks = busyMarks();
  } catch (const Failure &) {
    return; // no event to be had: the next retirement tries again
  }
  for (auto &task : std::exchange(unmarked_, {})) {
    if (marks.empty()) {
      task();
    } else {
      waiter_->after(marks, std::move(task));
    }
  }
}

void Device::dispose(std::function<void()> closed) {
  if (disposed_) return;
  const auto self = shared_from_this();
  // Streams last: the others' marks are recorded on them.
  std::vector<std::shared_ptr<Handle>> handles, streams;
  for (Handle *handle : handles_) {
    (handle->kind == Kind::STREAM ? streams : handles).push_back(handle->shared_from_this());
  }
  for (const auto &handle : handles) handle->dispose();
  for (const auto &stream : streams) stream->dispose();
  if (!unmarked_.empty()) retire([] {});
  for (const auto &stream : streams_) stream->forget();
  streams_.clear();
  disposed_ = true;
  close(std::move(closed));
}

/** What is still unmarked stays allocated: nobody knows when its work ends. */
void Device::close(std::function<void()> closed) {
  waiter_->finish([&table = library_.table(), handle = handle_, events = events_, closed = std::move(closed)] {
    events->close();
    table.close(handle);
    closed();
  });
}

}  // namespace polymla
