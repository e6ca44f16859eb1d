#include "handle.h"

#include "device.h"

namespace polymla {

Handle::Handle(Kind kind, std::shared_ptr<Device> device) : kind(kind), device_(std::move(device)) {
  device_->add(this);
}

Handle::~Handle() {
  if (!disposed_) device_->remove(this);
}

void Handle::dispose() {
  if (disposed_) return;
  disposed_ = true;
  device_->remove(this);
  retire();
}

}  // namespace polymla
