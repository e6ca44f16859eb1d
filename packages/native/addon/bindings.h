#pragma once

#include "environment.h"
#include "stream.h"

namespace polymla {

/** Makes a C++ function one of JavaScript's: its failures become PolymlaErrors. */
template <Napi::Value (*function)(const Napi::CallbackInfo &)>
Napi::Value guarded(const Napi::CallbackInfo &info) {
  try {
    return function(info);
  } catch (const Failure &failure) {
    throw Environment::of(info).exception(failure);
  } catch (const Napi::Error &) {
    throw;
  } catch (const std::exception &error) {
    throw Environment::of(info).exception({PMLA_INTERNAL, 0, error.what(), "", ""});
  }
}

using HeldDevice = std::shared_ptr<Device>;
using HeldHandle = std::shared_ptr<Handle>;

/** A JavaScript value that stands for a device, or for a handle of one, and gives it back when it is collected. */
template <typename Held>
Napi::Value wrapped(Napi::Env env, Held held) {
  return Napi::External<Held>::New(env, new Held(std::move(held)), [](Napi::Env, Held *kept) {
    (*kept)->dispose();
    delete kept;
  });
}

/** The device at an argument. Calls on one that was disposed or lost fail by `assertUsable`. */
inline Device &deviceAt(const Napi::CallbackInfo &info, size_t index) {
  return **info[index].As<Napi::External<HeldDevice>>().Data();
}

/** The handle at an argument. Throws Failure when it was disposed. */
template <typename T>
T &handleAt(const Napi::CallbackInfo &info, size_t index) {
  Handle &handle = **info[index].As<Napi::External<HeldHandle>>().Data();
  if (handle.kind != T::KIND) throw Failure{PMLA_INTERNAL, 0, "a handle of one kind was passed for another", "", ""};
  if (handle.disposed()) throw Failure{HOST_DISPOSED, 0, "a handle was used after it was disposed", "", ""};
  return static_cast<T &>(handle);
}

inline uint64_t countAt(const Napi::CallbackInfo &info, size_t index) {
  return static_cast<uint64_t>(info[index].As<Napi::Number>().DoubleValue());
}

inline void *addressAt(const Napi::CallbackInfo &info, size_t index) {
  return reinterpret_cast<void *>(static_cast<uintptr_t>(countAt(info, index)));
}

/** Puts a group of functions into the exports. */
void exportLibraries(Napi::Object exports, Environment *environment);
void exportDevices(Napi::Object exports, Environment *environment);
void exportStreams(Napi::Object exports, Environment *environment);
void exportPlans(Napi::Object exports, Environment *environment);

template <Napi::Value (*function)(const Napi::CallbackInfo &)>
void exportFunction(Napi::Object exports, const char *name, Environment *environment) {
  exports.Set(name, Napi::Function::New<guarded<function>>(exports.Env(), name, environment));
}

}  // namespace polymla
