#include "bindings.h"
#include "plan.h"

namespace polymla {
namespace {

/** device => Promise<void>, when all work is done and everything is freed */
Napi::Value close(const Napi::CallbackInfo &info) {
  const auto env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  const auto channel = Environment::of(info).channel();
  channel->hold(env);
  deviceAt(info, 0).dispose([channel, deferred] {
    channel->post([channel, deferred](Napi::Env env) {
      channel->release(env);
      deferred.Resolve(env.Undefined());
    });
  });
  return deferred.Promise();
}

/** (device, bytes) => buffer; its address goes into the block */
Napi::Value alloc(const Napi::CallbackInfo &info) {
  const auto buffer = std::make_shared<Buffer>(deviceAt(info, 0).shared_from_this(), countAt(info, 1));
  Environment::of(info).block()[0] = static_cast<double>(reinterpret_cast<uintptr_t>(buffer->memory()));
  return wrapped<HeldHandle>(info.Env(), buffer);
}

/** device => void; total and free bytes go into the block */
Napi::Value memoryInfo(const Napi::CallbackInfo &info) {
  auto &device = deviceAt(info, 0);
  device.assertUsable();
  uint64_t total = 0, available = 0;
  ErrorRecord error;
  device.check(device.table().memory_info(device.handle(), &total, &available, error.get()), error, "memory_info");
  double *block = Environment::of(info).block();
  block[0] = static_cast<double>(total);
  block[1] = static_cast<double>(available);
  return info.Env().Undefined();
}

/** handle => void */
Napi::Value dispose(const Napi::CallbackInfo &info) {
  (*info[0].As<Napi::External<HeldHandle>>().Data())->dispose();
  return info.Env().Undefined();
}

}  // namespace

void exportDevices(Napi::Object exports, Environment *environment) {
  exportFunction<close>(exports, "close", environment);
  exportFunction<alloc>(exports, "alloc", environment);
  exportFunction<memoryInfo>(exports, "memoryInfo", environment);
  exportFunction<dispose>(exports, "dispose", environment);
}

}  // namespace polymla
