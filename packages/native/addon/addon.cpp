/*
 * The Node-API addon: loads backend libraries and hands their calls to JavaScript, nearly one to one. What JavaScript
 * sees is declared in src/addon.ts.
 */
#include <dlfcn.h>

#include "bindings.h"

namespace polymla {
namespace {

Napi::Value setErrorMaker(const Napi::CallbackInfo &info) {
  Environment::of(info).setErrorMaker(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

/** Node unloads the addons of a worker that ends, but waiters may still run: they need their code. */
void stayLoaded() {
  Dl_info self;
  if (dladdr(reinterpret_cast<void *>(&stayLoaded), &self)) dlopen(self.dli_fname, RTLD_NOW | RTLD_LOCAL);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  stayLoaded();
  auto *environment = new Environment(env);
  env.SetInstanceData(environment);
  exports.Set("block", environment->blockArray());
  exportFunction<setErrorMaker>(exports, "setErrorMaker", environment);
  exportLibraries(exports, environment);
  exportDevices(exports, environment);
  exportStreams(exports, environment);
  exportPlans(exports, environment);
  return exports;
}

NODE_API_MODULE(polymla, initialize)

}  // namespace
}  // namespace polymla
