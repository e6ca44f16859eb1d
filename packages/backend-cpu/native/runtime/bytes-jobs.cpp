#include "bytes-jobs.h"

#include <algorithm>
#include <cstring>

namespace polymla::cpu {

namespace {

/** A range of bytes as units of up to PART bytes. */
class BytesJob : public Job {
public:
  explicit BytesJob(uint64_t bytes) : bytes_(bytes) {}
  int phases() const final { return 1; }
  int64_t units(int) const final { return static_cast<int64_t>((bytes_ + PART - 1) / PART); }
  void run(int, int64_t unit, Scratch) const final {
    const uint64_t begin = static_cast<uint64_t>(unit) * PART;
    run(begin, std::min(PART, bytes_ - begin));
  }

protected:
  virtual void run(uint64_t begin, uint64_t bytes) const = 0;

private:
  static constexpr uint64_t PART = uint64_t{1} << 20;
  uint64_t bytes_;
};

class CopyJob : public BytesJob {
public:
  CopyJob(void *target, const void *source, uint64_t bytes)
      : BytesJob(bytes), target_(static_cast<std::byte *>(target)),
        source_(static_cast<const std::byte *>(source)) {}

protected:
  void run(uint64_t begin, uint64_t bytes) const override { memcpy(target_ + begin, source_ + begin, bytes); }

private:
  std::byte *target_;
  const std::byte *source_;
};

class StagedCopyJob final : public CopyJob {
public:
  StagedCopyJob(void *target, std::unique_ptr<std::byte[]> copy, uint64_t bytes)
      : CopyJob(target, copy.get(), bytes), copy_(std::move(copy)) {}

private:
  std::unique_ptr<std::byte[]> copy_;
};

class FillJob final : public BytesJob {
public:
  FillJob(void *target, uint8_t value, uint64_t bytes)
      : BytesJob(bytes), target_(static_cast<std::byte *>(target)), value_(value) {}

protected:
  void run(uint64_t begin, uint64_t bytes) const override { memset(target_ + begin, value_, bytes); }

private:
  std::byte *target_;
  uint8_t value_;
};

} // namespace

std::shared_ptr<const Job> copyJob(void *target, const void *source, uint64_t bytes) {
  return std::make_shared<CopyJob>(target, source, bytes);
}

std::shared_ptr<const Job> stagedCopyJob(void *target, const void *source, uint64_t bytes) {
  std::unique_ptr<std::byte[]> copy(new std::byte[bytes]);
  memcpy(copy.get(), source, bytes);
  return std::make_shared<StagedCopyJob>(target, std::move(copy), bytes);
}

std::shared_ptr<const Job> fillJob(void *target, uint8_t value, uint64_t bytes) {
  return std::make_shared<FillJob>(target, value, bytes);
}

} // namespace polymla::cpu
