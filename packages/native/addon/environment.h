#pragma once

#include <map>

#include "block.h"
#include "channel.h"
#include "device.h"
#include "downloads.h"

namespace polymla {

/** Brings the logs of libraries to one environment. A flood is cut: what JavaScript has not taken yet is bounded. */
class LogForwarder : public LogListener, public std::enable_shared_from_this<LogForwarder> {
 public:
  explicit LogForwarder(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
  void log(const std::string &path, int32_t level, const std::string &message) override;

 private:
  const std::shared_ptr<Channel> channel_;
  std::atomic<int> waiting_{0};
};

/** What one environment (the main thread's or a worker's) keeps. Lives until its finalizers have run. */
class Environment {
 public:
  explicit Environment(Napi::Env env);
  static Environment &of(const Napi::CallbackInfo &info) { return *static_cast<Environment *>(info.Data()); }
  static Environment &of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  double *block() const { return block_; }
  Napi::Value blockArray() const { return blockArray_.Value(); }
  const std::shared_ptr<Channel> &channel() const { return channel_; }
  const std::shared_ptr<Downloads> &downloads() const { return downloads_; }

  /** What makes a PolymlaError: (status, nativeCode, message, fix, device) => Error. */
  void setErrorMaker(Napi::Function make) { makeError_ = Napi::Persistent(make); }
  Napi::Value error(const Failure &failure) const;
  Napi::Error exception(const Failure &failure) const;

  /** Who takes the log of the library at a path from now on: (level, message) => void. */
  void setLogger(const std::string &path, Napi::Function logger) { loggers_[path] = Napi::Persistent(logger); }
  void log(const std::string &path, int32_t level, const std::string &message);
  const std::shared_ptr<LogForwarder> &logForwarder() const { return forwarder_; }

  void add(const std::shared_ptr<Device> &device);

 private:
  static void tearDown(void *self);

  Napi::Env env_;
  Napi::Reference<Napi::Float64Array> blockArray_;
  double *block_;
  const std::shared_ptr<Channel> channel_;
  const std::shared_ptr<Downloads> downloads_ = std::make_shared<Downloads>();
  const std::shared_ptr<LogForwarder> forwarder_;
  Napi::FunctionReference makeError_;
  std::map<std::string, Napi::FunctionReference> loggers_;
  std::vector<std::weak_ptr<Device>> devices_;
};

}  // namespace polymla
