#include <algorithm>
#include <array>
#include <optional>

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
    const std::uint32_t ticket = ticket_.load(std::memory_order_acquire);  // the same
    const std::size_t polled = queue_.poll(frames);
    clock_.polled(polled, queue_.emptied(), ixgbe::read_tsc());
    if (polled != 0) {
      handle({frames.data(), polled});
      wait_.reset();
    }
    queue_.release();
    if (one_of_several_) keep_time();
    if (polled == 0) {
      if (last_look) break;
      producer_.publish();  // readers come and go while nothing is received, too
      if (ticket != 0) [[unlikely]] {
        stand(ticket);
      } else if (wait_.wait()) {
        clock_.woke(ixgbe::read_tsc());
      }
    }
  }
  if (counters_ == nullptr) until_room([this] { return report_losses(clock_.time_of_poll_ns()); });
  producer_.close();
}

/// The queue is empty, and is somebody else's until the ticket is taken back. Nothing comes meanwhile, and whoever
/// merges the queues by time is told so.
void ReceiveLoop::stand(std::uint32_t ticket) noexcept {
  standing_.store(ticket, std::memory_order_release);  // whoever sees it may have the queue
  wait_.forget();
  Idle idle;
  // acquire: what was done to the queue, or that the capture ends.
  while (ticket_.load(std::memory_order_acquire) == ticket && !finishing_.load(std::memory_order_acquire)) {
    clock_.polled(0, true, ixgbe::read_tsc());
    if (one_of_several_) keep_time();
    producer_.publish();
    idle.wait();
  }
}

/// What is polled from now on gets later times than this, and the records before it have been published; the card may
/// have stamped it somewhat before the poll.
void ReceiveLoop::keep_time() noexcept {
  const std::uint64_t quiet_until_ns = clock_.time_of_poll_ns() - FrameClock::on_the_way_ns;
  clock_.set_earliest(quiet_until_ns);
  producer_.set_quiet_until_ns(quiet_until_ns);
}

void ReceiveLoop::handle(std::span<const Frame> frames) noexcept {
  std::array<std::uint64_t, batch_size> match_sets;
  std::array<std::uint64_t, batch_size> times_ns;
  filters_.match(frames, match_sets);
  add(polled_, frames.size());
  std::uint64_t poll_ns = 0;
  stamp_count_ = 0;
  if (queue_.marked() != 0) [[unlikely]] {
    count_bad(frames.size());
    poll_ns = clock_.time_of_poll_ns();
    take_stamps(frames, poll_ns);  // whoever wants the frames: the card stamps no other before
  }
  const bool any = std::any_of(match_sets.begin(), match_sets.begin() + static_cast<std::ptrdiff_t>(frames.size()),
                               [](std::uint64_t match_set) { return match_set != 0; });
  if (!any) return;  // nothing to stamp, copy or publish
  if (counters_ != nullptr) {
    add(accepted_, counters_->add(frames, match_sets));
    return;
  }

  if (poll_ns == 0) [[likely]]
    poll_ns = clock_.time_of_poll_ns();
  const CardStamp* stamp = stamps_.data();
  const CardStamp* const last_stamp = stamp + stamp_count_;
  clock_.stamp(frames, poll_ns, times_ns.data(), {stamp, last_stamp});
  report_losses(times_ns[0]);
  std::uint64_t accepted = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const CardStamp* const its_own = stamp != last_stamp && stamp->frame == i ? stamp++ : nullptr;
    if (match_sets[i] == 0) continue;
    ++accepted;
    append(frames[i], times_ns[i], match_sets[i], errors_of(i), its_own);
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

void ReceiveLoop::append(const Frame& frame, std::uint64_t timestamp_ns, std::uint64_t match_set, std::uint16_t flags,
                         const CardStamp* stamp) noexcept {
  Frame cut = frame;
  cut.captured_length = std::min(frame.captured_length, snaplen_);
  const auto queue = static_cast<std::uint16_t>(queue_.index());
  const std::uint16_t time = card_clock_ != nullptr ? record_time_nic_clock : record_time_software;
  const auto all_flags = static_cast<std::uint16_t>(flags | time);
  const bool appended = until_room([&] {
    if (stamp != nullptr) [[unlikely]] {
      const bool exact = timestamp_ns == stamp->ns;
      const auto stamped = static_cast<std::uint16_t>(exact ? flags | record_time_hardware : all_flags);
      return producer_.append_stamped(cut, timestamp_ns, match_set, queue, stamped, stamp->ns);
    }
    return producer_.append(cut, timestamp_ns, match_set, queue, all_flags);
  });
  if (!appended) ++left_out_;
}

/// The stamps of those frames of the batch that the card says it has stamped.
void ReceiveLoop::take_stamps(std::span<const Frame> frames, std::uint64_t poll_ns) noexcept {
  if (card_clock_ == nullptr) return;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const bool marked = (queue_.marked() >> i & 1) != 0;
    if (!marked || (queue_.status(i).bits & ixgbe::ReceiveStatus::TS) == 0) continue;
    const std::optional<std::uint64_t> stamp_ns =
        card_clock_->take_received({frames[i].data, frames[i].captured_length});
    if (!stamp_ns.has_value()) continue;
    if (FrameClock::possible(*stamp_ns, poll_ns)) {
      stamps_[stamp_count_++] = {i, *stamp_ns};
    } else {
      add(impossible_stamps_, 1);
    }
  }
  add(stamped_, stamp_count_);
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
  counts.stamped = stamped_.load(std::memory_order_relaxed);
  counts.impossible_stamps = impossible_stamps_.load(std::memory_order_relaxed);
  counts.longest_wait_ticks = clock_.longest_wait_ticks();
  return counts;
}

}  // namespace ixcap::capture
