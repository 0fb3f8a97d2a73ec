#include <algorithm>
#include <utility>

#include <ixcap/capture/transmit_stamps.hpp>
#include <ixcap/driver/ixgbe/ptp.hpp>

namespace ixcap::capture {

bool TransmitStamps::put(ixgbe::TxQueue& queue, const Frame& frame) noexcept {
  const bool event = !ixgbe::ptp_event({frame.data, frame.captured_length}).empty();
  const bool asked = event && !awaited_;
  if (asked) clock_.card()->take_transmitted();  // one that came too late for the frame before
  if (!queue.put(frame, asked)) return false;
  if (asked) {
    frame_ = {{frame.data, frame.data + frame.captured_length}, frame.wire_length};
    asked_at_ = Clock::now();
    awaited_ = true;
  }
  counts_.not_asked += event && !asked ? 1 : 0;
  return true;
}

std::optional<StampedFrame> TransmitStamps::take() noexcept {
  if (!awaited_) return std::nullopt;
  const std::optional<std::uint64_t> time_ns = come_.has_value() ? come_ : clock_.card()->take_transmitted();
  if (!time_ns.has_value()) return std::nullopt;
  awaited_ = false;
  come_.reset();
  ++counts_.stamped;
  frame_.time_ns = *time_ns;
  return std::move(frame_);
}

void TransmitStamps::look_after() noexcept {
  clock_.sample();
  if (!awaited_ || come_.has_value() || Clock::now() - asked_at_ <= patience) return;
  come_ = clock_.card()->take_transmitted();
  if (!come_.has_value()) give_up();
}

void TransmitStamps::give_up() noexcept {
  counts_.unanswered += std::exchange(awaited_, false) ? 1 : 0;
  come_.reset();
}

TransmitStampCounts TransmitStamps::counts() noexcept {
  TransmitStampCounts counts = counts_;
  counts.clock_error_ns = std::max(counts.clock_error_ns, clock_.card()->worst_error_ns());
  return counts;
}

}  // namespace ixcap::capture
