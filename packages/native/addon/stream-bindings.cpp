#include "bindings.h"

namespace polymla {
namespace {

/** (device, native stream or 0n) => stream */
Napi::Value createStream(const Napi::CallbackInfo &info) {
  bool lossless = true;
  const uint64_t native = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) throw Failure{PMLA_INVALID_ARGUMENT, 0, "pointer: expected a stream's address", "", ""};
  const auto stream = std::make_shared<Stream>(deviceAt(info, 0).shared_from_this(),
                                               reinterpret_cast<void *>(static_cast<uintptr_t>(native)));
  stream->device().addStream(stream);
  return wrapped<HeldHandle>(info.Env(), stream);
}

/** (stream, address, Uint8Array) => void */
Napi::Value upload(const Napi::CallbackInfo &info) {
  const auto source = info[2].As<Napi::Uint8Array>();
  handleAt<Stream>(info, 0).upload(addressAt(info, 1), source.Data(), source.ByteLength());
  return info.Env().Undefined();
}

/** (stream, address, Uint8Array) => void; the array is kept until the work is done */
Napi::Value download(const Napi::CallbackInfo &info) {
  auto &stream = handleAt<Stream>(info, 0);
  auto target = info[2].As<Napi::Uint8Array>();
  napi_ref kept;
  if (napi_create_reference(info.Env(), target, 1, &kept) != napi_ok) throw Napi::Error::New(info.Env());
  try {
    stream.download(addressAt(info, 1), target.Data(), target.ByteLength());
  } catch (const Failure &) {
    napi_delete_reference(info.Env(), kept);
    throw;
  }
  const auto &downloads = Environment::of(info).downloads();
  downloads->begin();
  stream.afterwards([kept, downloads, channel = Environment::of(info).channel()] {
    downloads->end();
    channel->post([kept](Napi::Env env) { napi_delete_reference(env, kept); });
  });
  return info.Env().Undefined();
}

/** (stream, address, bytes, value) => void */
Napi::Value fill(const Napi::CallbackInfo &info) {
  const auto value = static_cast<uint8_t>(info[3].As<Napi::Number>().Uint32Value());
  handleAt<Stream>(info, 0).fill(addressAt(info, 1), value, countAt(info, 2));
  return info.Env().Undefined();
}

/** (stream, source address, target address, bytes) => void */
Napi::Value copy(const Napi::CallbackInfo &info) {
  handleAt<Stream>(info, 0).copy(addressAt(info, 1), addressAt(info, 2), countAt(info, 3));
  return info.Env().Undefined();
}

/** stream => event */
Napi::Value record(const Napi::CallbackInfo &info) {
  auto &stream = handleAt<Stream>(info, 0);
  return wrapped<HeldHandle>(info.Env(), std::make_shared<Event>(stream.device().shared_from_this(), stream.record()));
}

/** (stream, event) => void */
Napi::Value wait(const Napi::CallbackInfo &info) {
  handleAt<Stream>(info, 0).wait(*handleAt<Event>(info, 1).mark());
  return info.Env().Undefined();
}

/** stream => void */
Napi::Value beginCapture(const Napi::CallbackInfo &info) {
  handleAt<Stream>(info, 0).beginCapture();
  return info.Env().Undefined();
}

/** stream => graph */
Napi::Value endCapture(const Napi::CallbackInfo &info) {
  auto &stream = handleAt<Stream>(info, 0);
  const pmla_graph graph = stream.endCapture();
  return wrapped<HeldHandle>(info.Env(), std::make_shared<Graph>(stream.device().shared_from_this(), graph));
}

/** (graph, stream) => void */
Napi::Value launchGraph(const Napi::CallbackInfo &info) {
  handleAt<Stream>(info, 1).launch(handleAt<Graph>(info, 0));
  return info.Env().Undefined();
}

/** event => boolean */
Napi::Value query(const Napi::CallbackInfo &info) {
  return Napi::Boolean::New(info.Env(), handleAt<Event>(info, 0).query());
}

std::optional<Failure> outcome(const Mark &mark) {
  const Failure *failure = mark.failure();
  return failure ? std::optional(*failure) : std::nullopt;
}

void settle(Napi::Env env, const Napi::Promise::Deferred &deferred, const std::optional<Failure> &failure) {
  if (failure) {
    deferred.Reject(Environment::of(env).error(*failure));
  } else {
    deferred.Resolve(env.Undefined());
  }
}

/** event => Promise<void>; keeps the event loop alive */
Napi::Value done(const Napi::CallbackInfo &info) {
  const auto env = info.Env();
  auto &event = handleAt<Event>(info, 0);
  const auto deferred = Napi::Promise::Deferred::New(env);
  if (event.device().poll(*event.mark())) {
    settle(env, deferred, outcome(*event.mark()));
    return deferred.Promise();
  }
  const auto channel = Environment::of(info).channel();
  channel->hold(env);
  event.device().waiter().after({event.mark()}, [channel, deferred, mark = event.mark()] {
    // On its way to JavaScript the outcome outlives the device, which the mark must not.
    channel->post([channel, deferred, failure = outcome(*mark)](Napi::Env env) {
      channel->release(env);
      settle(env, deferred, failure);
    });
  });
  return deferred.Promise();
}

/** (later, earlier) => microseconds */
Napi::Value elapsed(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), handleAt<Event>(info, 0).since(handleAt<Event>(info, 1)));
}

}  // namespace

void exportStreams(Napi::Object exports, Environment *environment) {
  exportFunction<createStream>(exports, "createStream", environment);
  exportFunction<upload>(exports, "upload", environment);
  exportFunction<download>(exports, "download", environment);
  exportFunction<fill>(exports, "fill", environment);
  exportFunction<copy>(exports, "copy", environment);
  exportFunction<record>(exports, "record", environment);
  exportFunction<wait>(exports, "wait", environment);
  exportFunction<beginCapture>(exports, "beginCapture", environment);
  exportFunction<endCapture>(exports, "endCapture", environment);
  exportFunction<launchGraph>(exports, "launchGraph", environment);
  exportFunction<query>(exports, "query", environment);
  exportFunction<done>(exports, "done", environment);
  exportFunction<elapsed>(exports, "elapsed", environment);
}

}  // namespace polymla
