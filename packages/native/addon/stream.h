#pragma once

#include <atomic>

#include "device.h"

namespace polymla {

/** Device memory that the host has allocated. */
class Buffer : public Handle {
 public:
  static constexpr Kind KIND = Kind::BUFFER;
  /** Throws Failure. */
  Buffer(std::shared_ptr<Device> device, uint64_t bytes);
  void *memory() const { return memory_; }

 protected:
  void retire() override;

 private:
  const uint64_t bytes_;
  void *const memory_;
};

/** A mark that JavaScript holds. */
class Event : public Handle {
 public:
  static constexpr Kind KIND = Kind::EVENT;
  Event(std::shared_ptr<Device> device, std::shared_ptr<Mark> mark)
      : Handle(Kind::EVENT, std::move(device)), mark_(std::move(mark)) {}
  const std::shared_ptr<Mark> &mark() const { return mark_; }
  /** Whether the work is done. Throws Failure, also what the work failed with. */
  bool query() const;
  /** Device time in microseconds since an earlier event. Throws Failure. */
  double since(const Event &earlier) const;

 protected:
  void retire() override;

 private:
  std::shared_ptr<Mark> mark_;
};

class Graph : public Handle {
 public:
  static constexpr Kind KIND = Kind::GRAPH;
  Graph(std::shared_ptr<Device> device, pmla_graph graph) : Handle(Kind::GRAPH, std::move(device)), graph_(graph) {}
  pmla_graph native() const { return graph_; }

 protected:
  void retire() override;

 private:
  const pmla_graph graph_;
};

/** A queue of work. Knows where its work under way ends, so that what the work uses can be freed after it. */
class Stream : public Handle {
 public:
  static constexpr Kind KIND = Kind::STREAM;
  /** native: a stream of somebody else's, or NULL. Throws Failure. */
  Stream(std::shared_ptr<Device> device, void *native);
  pmla_stream native() const { return stream_; }

  void upload(void *target, const void *source, uint64_t bytes);
  void download(const void *source, void *target, uint64_t bytes);
  void fill(void *target, uint8_t value, uint64_t bytes);
  void copy(const void *source, void *target, uint64_t bytes);
  std::shared_ptr<Mark> record();
  void wait(Mark &mark);
  void beginCapture();
  pmla_graph endCapture();
  void launch(const Graph &graph);

  /** To be called before work is enqueued: throws when the device is lost. */
  void enqueuing() {
    device().assertUsable();
    busy_ = true;
  }

  /** A mark behind the work under way, NULL when there is none. Throws Failure when no event is to be had. */
  std::shared_ptr<Mark> busyMark();
  /** Runs `then`, on any thread, when the work under way has ended. */
  void afterwards(std::function<void()> then);
  /** Whether the native stream is gone. */
  bool freed() const { return freed_->load(std::memory_order_acquire); }
  /** Lets go of the last mark; the stream is disposed. */
  void forget();

 protected:
  void retire() override;

 private:
  void setLast(std::shared_ptr<Mark> mark);

  const pmla_stream stream_;
  const std::shared_ptr<std::atomic<bool>> freed_ = std::make_shared<std::atomic<bool>>(false);
  /** Whether work was enqueued after the last mark. */
  bool busy_ = false;
  bool capturing_ = false;
  std::shared_ptr<Mark> last_;
};

}  // namespace polymla
