#include <algorithm>
#include <array>

#include <ixcap/capture/receive_loop.hpp>
#include <ixcap/driver/idle.hpp>

namespace ixcap::capture {
namespace {

/// One writer, so no read-modify-write is needed.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t count) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

}  // namespace

void ReceiveLoop::run() noexcept {
  std::array<Frame, batch_size> frames;
  while (true) {
    // acquire: what the card wrote before it was stopped is seen by the poll below.
    const bool last_look = finishing_.load(std::memory_order_acquire);
    const std::size_t polled = queue_.poll(frames);
    if (polled != 0) {
      handle({frames.data(), polled});
      wait_.reset();
    }
    queue_.release();
    if (one_of_several_) keep_time();
    if (polled == 0) {
      if (last_look) break;
      producer_.publish();  // readers come and go while nothing is received, too
      wait_.wait();
    }
  }
  until_room([this] { return report_losses(FrameClock::now_ns()); });
  producer_.close();
}

/// What is polled from now on gets later times than this. Release order: the records before it have been published.
void ReceiveLoop::keep_time() noexcept {
  const std::uint64_t now_ns = FrameClock::now_ns();
  clock_.set_earliest(now_ns);
  quiet_until_ns_.store(now_ns, std::memory_order_release);
}

void ReceiveLoop::handle(std::span<const Frame> frames) noexcept {
  std::array<std::uint64_t, batch_size> match_sets;
  std::array<std::uint64_t, batch_size> times_ns;
  filters_.match(frames, match_sets);
  add(polled_, frames.size());
  if (queue_.marked() != 0) [[unlikely]]
    count_bad(frames.size());
  const bool any = std::any_of(match_sets.begin(), match_sets.begin() + static_cast<std::ptrdiff_t>(frames.size()),
                               [](std::uint64_t match_set) { return match_set != 0; });
  if (!any) return;  // nothing to stamp, copy or publish

  clock_.stamp(frames, FrameClock::now_ns(), times_ns.data());
  report_losses(times_ns[0]);
  std::uint64_t accepted = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (match_sets[i] == 0) continue;
    ++accepted;
    append(frames[i], times_ns[i], match_sets[i], errors_of(i));
  }
  producer_.publish();
  add(accepted_, accepted);
}

/// Calls `put` until it has found room in the ring, or the reader has given up; whether it has.
template <typename Put>
bool ReceiveLoop::until_room(Put put) noexcept {
  Idle idle;
  while (!put()) {
    if (abandoned_.load(std::memory_order_relaxed)) return false;
    producer_.publish();
    idle.wait();
  }
  return true;
}

void ReceiveLoop::count_bad(std::size_t frames) noexcept {
  std::uint64_t bad = 0;
  for (std::size_t i = 0; i < frames; ++i) bad += errors_of(i) != 0 ? 1 : 0;
  add(bad_, bad);
}

/// Record flags for what the MAC found wrong with frame `i` of the batch.
std::uint16_t ReceiveLoop::errors_of(std::size_t i) const noexcept {
  using ixgbe::ReceiveStatus;
  if ((queue_.marked() >> i & 1) == 0) [[likely]]
    return 0;
  const std::uint64_t bits = queue_.status(i).bits;
  const auto flag = [bits](std::uint64_t error, std::uint16_t flag_of_it) {
    return (bits & error) != 0 ? flag_of_it : std::uint16_t{0};
  };
  return static_cast<std::uint16_t>(
      flag(ReceiveStatus::CE, record_bad_fcs) | flag(ReceiveStatus::LE, record_bad_length) |
      flag(ReceiveStatus::PE, record_bad_symbol) | flag(ReceiveStatus::OSE, record_too_long) |
      flag(ReceiveStatus::USE, record_too_short));
}

void ReceiveLoop::append(const Frame& frame, std::uint64_t timestamp_ns, std::uint64_t match_set,
                         std::uint16_t flags) noexcept {
  Frame cut = frame;
  cut.captured_length = std::min(frame.captured_length, snaplen_);
  const bool appended = until_room([&] {
    return producer_.append(cut, timestamp_ns, match_set, static_cast<std::uint16_t>(queue_.index()),
                            static_cast<std::uint16_t>(record_time_software | flags));
  });
  if (!appended) ++left_out_;
}

/// False if there is no room; the losses are then reported before a later frame, or at the end.
bool ReceiveLoop::report_losses(std::uint64_t timestamp_ns) noexcept {
  const std::uint64_t dropped = dropped_by_card_.load(std::memory_order_relaxed) + left_out_;
  if (dropped == losses_reported_) return true;
  if (!producer_.append_loss(dropped - losses_reported_, timestamp_ns, static_cast<std::uint16_t>(queue_.index()))) {
    return false;
  }
  losses_reported_ = dropped;
  return true;
}

ReceiveCounts ReceiveLoop::counts() const noexcept {
  ReceiveCounts counts;
  counts.polled = polled_.load(std::memory_order_relaxed);
  counts.accepted = accepted_.load(std::memory_order_relaxed);
  counts.bad = bad_.load(std::memory_order_relaxed);
  return counts;
}

}  // namespace ixcap::capture
