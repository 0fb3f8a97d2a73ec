#include <algorithm>

#include <ixcap/capture/replay_schedule.hpp>
#include <ixcap/driver/ixgbe/tx_queue.hpp>

namespace ixcap::capture {

std::uint64_t ReplaySchedule::due_ps(const emulator::WireFrame& frame) noexcept {
  if (!pace_.rate.has_value()) {
    due_ps_ = std::clamp(recorded_ps(frame), due_ps_, latest_ps);
    return due_ps_;
  }
  const std::uint64_t due = due_ps_;
  // As long as it is on the wire, short frames padded.
  const std::uint32_t length = std::max(frame.wire_length, ixgbe::TxQueue::shortest_on_wire);
  if (length != spacing_length_) {
    spacing_length_ = length;
    spacing_ps_ = std::min(pace_.rate->spacing_ps(length), latest_ps - 1);
  }
  due_ps_ = std::min(due_ps_ + spacing_ps_, latest_ps);
  return due;
}

std::uint64_t ReplaySchedule::recorded_ps(const emulator::WireFrame& frame) noexcept {
  if (frame.starts_file || !started_) {
    if (started_) {
      const std::uint64_t gaps = frames_of_pass_ > 1 ? frames_of_pass_ - 1 : 1;
      pass_start_ps_ = due_ps_ + (due_ps_ - pass_start_ps_) / gaps;
    }
    started_ = true;
    first_ns_ = latest_ns_ = frame.recorded_ns;
    frames_of_pass_ = 1;
    return pass_start_ps_;
  }
  ++frames_of_pass_;
  if (frame.recorded_ns < latest_ns_) ++out_of_order_;
  latest_ns_ = std::max(latest_ns_, frame.recorded_ns);
  constexpr long double ps_per_ns = 1000;
  const long double after_first = static_cast<long double>(latest_ns_ - first_ns_) * ps_per_ns / pace_.speed;
  const long double due = static_cast<long double>(pass_start_ps_) + after_first;
  return due < static_cast<long double>(latest_ps) ? static_cast<std::uint64_t>(due) : latest_ps;
}

}  // namespace ixcap::capture
