#pragma once

#include <memory>

namespace polymla {

class Device;

enum class Kind { BUFFER, STREAM, EVENT, PLAN, GRAPH };

/**
 * What a JavaScript object of the addon stands for. All members belong to JavaScript's thread; what must outlive it is
 * handed to the device's waiter.
 */
class Handle : public std::enable_shared_from_this<Handle> {
 public:
  Handle(Kind kind, std::shared_ptr<Device> device);
  virtual ~Handle();
  Handle(const Handle &) = delete;
  Handle &operator=(const Handle &) = delete;

  /** Gives the native object back as soon as no work uses it. Idempotent; also called when the wrapper is collected. */
  void dispose();
  bool disposed() const { return disposed_; }
  Device &device() const { return *device_; }

  const Kind kind;

 protected:
  virtual void retire() = 0;

 private:
  const std::shared_ptr<Device> device_;
  bool disposed_ = false;
};

}  // namespace polymla
