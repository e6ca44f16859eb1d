#include <thread>

#include "bindings.h"

namespace polymla {
namespace {

/** More devices than this are a library's mistake. */
constexpr int32_t MAX_DEVICES = 1024;

/** Makes the value of a promise, on JavaScript's thread. */
using Settle = std::function<Napi::Value(Napi::Env)>;

/** A promise of what `work` does on a thread of its own. */
Napi::Value promised(const Napi::CallbackInfo &info, std::function<Settle()> work) {
  const auto env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  const auto channel = Environment::of(info).channel();
  std::thread([deferred, channel, work = std::move(work)]() mutable {
    Settle settle;
    std::optional<Failure> failure;
    try {
      settle = work();
      work = nullptr;
    } catch (const Failure &caught) {
      failure = caught;
    } catch (const std::exception &caught) {
      failure = Failure{PMLA_INTERNAL, 0, caught.what(), "", ""};
    }
    channel->post([deferred, channel, settle = std::move(settle), failure](Napi::Env env) {
      channel->release(env);
      if (failure) {
        deferred.Reject(Environment::of(env).error(*failure));
      } else {
        deferred.Resolve(settle(env));
      }
    });
  }).detach();
  channel->hold(env);
  return deferred.Promise();
}

/** Has the library's log forwarded when there is a function for it at an argument. */
std::shared_ptr<LogForwarder> forwarder(const Napi::CallbackInfo &info, size_t index, const std::string &path) {
  if (!info[index].IsFunction()) return nullptr;
  Environment::of(info).setLogger(path, info[index].As<Napi::Function>());
  return Environment::of(info).logForwarder();
}

pmla_device_info unusable(pmla_status status, const Failure &why) {
  pmla_device_info info{};
  info.status = status;
  snprintf(info.reason, sizeof info.reason, "%s", why.message.c_str());
  snprintf(info.fix, sizeof info.fix, "%s", why.fix.c_str());
  return info;
}

std::vector<pmla_device_info> deviceInfos(Library &library) {
  const pmla_library &table = library.table();
  int32_t count = 0;
  ErrorRecord error;
  pmla_status status = table.device_count(&count, error.get());
  if (status != PMLA_OK) throw error.failure(status, "device_count", "");
  if (count < 0 || count > MAX_DEVICES) {
    throw Failure{PMLA_INTERNAL, 0, "device_count: expected 0 to 1024, found " + std::to_string(count), "", ""};
  }
  std::vector<pmla_device_info> infos;
  for (int32_t index = 0; index < count; index++) {
    pmla_device_info answer{};
    answer.size = sizeof answer;
    status = table.device_info(index, &answer, error.get());
    infos.push_back(status == PMLA_OK ? answer : unusable(status, error.failure(status, "device_info", "")));
  }
  return infos;
}

Napi::Value infoObject(Napi::Env env, const pmla_device_info &info) {
  auto object = Napi::Object::New(env);
  object.Set("status", Napi::Number::New(env, info.status));
  object.Set("score", Napi::Number::New(env, info.score));
  object.Set("memoryBytes", Napi::Number::New(env, static_cast<double>(info.memory_bytes)));
  object.Set("name", boundedText(info.name, sizeof info.name));
  object.Set("arch", boundedText(info.arch, sizeof info.arch));
  object.Set("reason", boundedText(info.reason, sizeof info.reason));
  object.Set("fix", boundedText(info.fix, sizeof info.fix));
  return object;
}

/** (path, log?) => Promise<info[]> */
Napi::Value probe(const Napi::CallbackInfo &info) {
  const std::string path = info[0].As<Napi::String>();
  return promised(info, [path, log = forwarder(info, 1, path)]() -> Settle {
    return [infos = deviceInfos(Library::at(path, log))](Napi::Env env) {
      auto array = Napi::Array::New(env, infos.size());
      for (uint32_t i = 0; i < infos.size(); i++) array[i] = infoObject(env, infos[i]);
      return array;
    };
  });
}

Options optionsAt(const Napi::CallbackInfo &info, size_t index) {
  const auto given = info[index].As<Napi::Array>();
  Options options;
  for (uint32_t i = 0; i + 1 < given.Length(); i += 2) {
    options.emplace_back(given.Get(i).As<Napi::String>(), given.Get(i + 1).As<Napi::String>());
  }
  return options;
}

Napi::Value deviceObject(Napi::Env env, const std::shared_ptr<Device> &device) {
  Environment::of(env).add(device);
  const pmla_library &table = device->table();
  auto object = Napi::Object::New(env);
  object.Set("handle", wrapped<HeldDevice>(env, device));
  object.Set("adoptsStreams", (device->flags() & PMLA_DEVICE_ADOPTS_STREAMS) != 0);
  object.Set("adoptsMemory", (device->flags() & PMLA_DEVICE_ADOPTS_MEMORY) != 0);
  object.Set("reportsMemory", table.memory_info != nullptr);
  object.Set("measuresPeaks", table.measure_peaks != nullptr);
  object.Set("captures", table.capture_begin != nullptr);
  object.Set("chooses", table.choose != nullptr);
  return object;
}

/** (path, index, id, [key, value, …], log?) => Promise<device> */
Napi::Value open(const Napi::CallbackInfo &info) {
  const std::string path = info[0].As<Napi::String>();
  const int32_t index = info[1].As<Napi::Number>();
  const std::string id = info[2].As<Napi::String>();
  return promised(info, [path, index, id, options = optionsAt(info, 3), log = forwarder(info, 4, path)]() -> Settle {
    auto device = Device::open(Library::at(path, log), index, id, options);
    return [device](Napi::Env env) { return deviceObject(env, device); };
  });
}

/** device => Promise<[read bytes, fp32 flops, bf16 flops, fp16 flops], each per second> */
Napi::Value measurePeaks(const Napi::CallbackInfo &info) {
  const auto device = deviceAt(info, 0).shared_from_this();
  device->assertUsable();
  device->waiter().hold();
  const std::shared_ptr<void> held(nullptr, [device](void *) { device->waiter().release(); });
  return promised(info, [device, held]() -> Settle {
    pmla_peaks peaks{};
    peaks.size = sizeof peaks;
    ErrorRecord error;
    device->check(device->table().measure_peaks(device->handle(), &peaks, error.get()), error, "measure_peaks");
    return [peaks](Napi::Env env) {
      auto array = Napi::Array::New(env, 4);
      array[0u] = peaks.read_bytes_per_s;
      array[1u] = peaks.f32_flops_per_s;
      array[2u] = peaks.bf16_flops_per_s;
      array[3u] = peaks.f16_flops_per_s;
      return array;
    };
  });
}

}  // namespace

void exportLibraries(Napi::Object exports, Environment *environment) {
  exportFunction<probe>(exports, "probe", environment);
  exportFunction<open>(exports, "open", environment);
  exportFunction<measurePeaks>(exports, "measurePeaks", environment);
}

}  // namespace polymla
