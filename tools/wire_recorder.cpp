#include "tools/wire_recorder.hpp"

#include <utility>

#include <ixcap/capture/frame_clock.hpp>

namespace ixcap::tools {
namespace {

constexpr std::uint64_t flush_interval_ns = 1'000'000'000;

class RecordedTraffic final : public emulator::Traffic {
 public:
  RecordedTraffic(std::unique_ptr<emulator::Traffic> traffic, WireRecorder& recorder)
      : traffic_(std::move(traffic)), recorder_(recorder) {}

  /// The NIC asks for a frame when the one before it has arrived.
  const emulator::WireFrame* next() noexcept override {
    if (current_ != nullptr) recorder_.received(*current_);
    current_ = traffic_->next();
    return current_;
  }
  const std::optional<Error>& failure() const noexcept override { return traffic_->failure(); }
  std::uint64_t zero_filled() const noexcept override { return traffic_->zero_filled(); }
  bool may_wait() const noexcept override { return traffic_->may_wait(); }
  void cancel() noexcept override { traffic_->cancel(); }

 private:
  std::unique_ptr<emulator::Traffic> traffic_;
  WireRecorder& recorder_;
  const emulator::WireFrame* current_ = nullptr;
};

}  // namespace

WireRecorder::WireRecorder(std::string path, const std::string& interface)
    : file_(std::move(path), {.name = interface,
                              .description = "both directions of the wire of a software 82599",
                              .hardware = "software Intel 82599"}) {}

std::unique_ptr<emulator::Traffic> WireRecorder::traffic(std::unique_ptr<emulator::Traffic> traffic) {
  return std::make_unique<RecordedTraffic>(std::move(traffic), *this);
}

void WireRecorder::send(std::span<const std::uint8_t> frame) noexcept {
  const auto length = static_cast<std::uint32_t>(frame.size());
  record({frame.data(), length, length}, true);
  if (wire_ != nullptr) wire_->send(frame);
}

std::span<const std::uint8_t> WireRecorder::receive() noexcept {
  const std::span<const std::uint8_t> frame = wire_ != nullptr ? wire_->receive() : std::span<const std::uint8_t>{};
  const auto length = static_cast<std::uint32_t>(frame.size());
  if (!frame.empty()) record({frame.data(), length, length}, false);
  return frame;
}

void WireRecorder::record(const emulator::WireFrame& frame, bool outbound) noexcept {
  if (failed_.load(std::memory_order_relaxed)) return;  // only this thread sets it
  const std::uint64_t now_ns = capture::FrameClock::now_ns();
  try {
    file_.write({.timestamp_ns = now_ns,
                 .data = frame.bytes,
                 .captured_length = frame.captured_length,
                 .wire_length = frame.wire_length,
                 .reception = outbound ? capture::pcapng::Reception::unknown
                                       : capture::pcapng::reception_of(frame.bytes, frame.captured_length, {}),
                 .queue = 0,
                 .outbound = outbound});
    if (now_ns - flushed_ns_ >= flush_interval_ns) {
      flushed_ns_ = now_ns;
      file_.flush();
    }
  } catch (const Error& error) {
    failure_ = error;
    failed_.store(true, std::memory_order_release);  // publishes failure_
  }
}

std::optional<Error> WireRecorder::failure() const {
  return failed_.load(std::memory_order_acquire) ? failure_ : std::nullopt;
}

}  // namespace ixcap::tools
