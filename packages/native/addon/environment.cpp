#include "environment.h"

namespace polymla {
namespace {

/** Log messages on their way to JavaScript. */
constexpr int MAX_WAITING_LOGS = 1024;
/** How long an ending environment waits for downloads into its memory. A device that has not written by then hangs. */
constexpr std::chrono::seconds DOWNLOAD_LIMIT{10};

}  // namespace

void LogForwarder::log(const std::string &path, int32_t level, const std::string &message) {
  if (waiting_ >= MAX_WAITING_LOGS) return;
  waiting_++;
  const bool posted = channel_->post([self = shared_from_this(), path, level, message](Napi::Env env) {
    self->waiting_--;
    Environment::of(env).log(path, level, message);
  });
  if (!posted) waiting_--;
}

Environment::Environment(Napi::Env env)
    : env_(env),
      channel_(std::make_shared<Channel>(env)),
      forwarder_(std::make_shared<LogForwarder>(channel_)) {
  auto array = Napi::Float64Array::New(env, BLOCK_LENGTH);
  blockArray_ = Napi::Reference<Napi::Float64Array>::New(array, 1);
  block_ = array.Data();
  // Hooks run last in, first out: this one before the channel's own, which ends it.
  if (napi_add_env_cleanup_hook(env, tearDown, this) != napi_ok) throw Napi::Error::New(env);
}

Napi::Value Environment::error(const Failure &failure) const {
  const auto text = [&](const std::string &value) { return Napi::String::New(env_, value); };
  return makeError_.Call({Napi::Number::New(env_, failure.status),
                          Napi::Number::New(env_, static_cast<double>(failure.nativeCode)), text(failure.message),
                          text(failure.fix), text(failure.device)});
}

Napi::Error Environment::exception(const Failure &failure) const { return Napi::Error(env_, error(failure)); }

void Environment::log(const std::string &path, int32_t level, const std::string &message) {
  const auto logger = loggers_.find(path);
  if (logger == loggers_.end()) return;
  logger->second.Call({Napi::Number::New(env_, level), Napi::String::New(env_, message)});
}

void Environment::add(const std::shared_ptr<Device> &device) {
  std::erase_if(devices_, [](const auto &known) { return known.expired(); });
  devices_.push_back(device);
}

/** Handles are retired and devices closed by their waiters, which outlive the environment. */
void Environment::tearDown(void *data) {
  auto &self = *static_cast<Environment *>(data);
  self.channel_->close();
  for (const auto &known : self.devices_) {
    if (const auto device = known.lock()) device->dispose();
  }
  self.downloads_->await(DOWNLOAD_LIMIT);
}

}  // namespace polymla
