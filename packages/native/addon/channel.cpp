#include "channel.h"

namespace polymla {
namespace {

using Work = std::function<void(Napi::Env)>;

/** env is NULL for what is still queued when the environment ends: it is dropped. */
void callJs(napi_env env, napi_value, void *, void *data) {
  const std::unique_ptr<Work> work(static_cast<Work *>(data));
  if (!env) return;
  try {
    (*work)(env);
  } catch (const Napi::Error &error) {
    error.ThrowAsJavaScriptException();
  }
}

}  // namespace

Channel::Channel(Napi::Env env) {
  const auto name = Napi::String::New(env, "polymla");
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                                             nullptr, callJs, &function_);
  if (status != napi_ok) throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, function_);
}

bool Channel::post(std::function<void(Napi::Env)> task) {
  auto work = std::make_unique<Work>(std::move(task));
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  if (napi_call_threadsafe_function(function_, work.get(), napi_tsfn_nonblocking) != napi_ok) return false;
  work.release();
  return true;
}

void Channel::hold(Napi::Env env) {
  if (holds_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void Channel::release(Napi::Env env) {
  if (--holds_ == 0) napi_unref_threadsafe_function(env, function_);
}

void Channel::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace polymla
