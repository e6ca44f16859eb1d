#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>

namespace polymla {

/** The way from any thread to one environment's JavaScript, for as long as there is one. */
class Channel {
 public:
  explicit Channel(Napi::Env env);

  /** Has JavaScript's thread run something; false, and nothing happens, when its environment has ended. Any thread. */
  bool post(std::function<void(Napi::Env)> task);
  /** Keep the event loop alive until released, as often as held. JavaScript's thread. */
  void hold(Napi::Env env);
  void release(Napi::Env env);
  /** The environment is about to end. */
  void close();

 private:
  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;
  bool closed_ = false;
  int holds_ = 0;
};

}  // namespace polymla
