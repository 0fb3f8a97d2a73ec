#pragma once

/// Times for the frames of one queue, and how late they can be.
///
///     clock.polled(count, emptied, tsc)           after every poll
///     clock.stamp(frames, poll_ns, times, ...)    for the frames of that poll, if any of them is wanted
///     clock.woke(tsc)                             after a sleep that the card's interrupt has ended, or would have
///
/// The last frame of a batch gets the time of the poll; each earlier one is earlier by the wire time of those after it.
/// So such a time is the latest moment at which the frame can have come. Its clock is the card's, to which the TSC at
/// the poll is converted (ixgbe::Clock), or the host's, where there is no other.
///
/// A frame that the card has stamped itself gets that stamp, and the frames before it in the batch are earlier than it
/// by wire time.
///
/// **Order.** Times strictly increase, so no two frames of a queue share one. What has been given out stands: a time
/// that is not later than the one before it becomes one nanosecond more than that. For most frames this changes
/// nothing that was known. A card's stamp, too, gives way like this: frames of the batch before have the time of their
/// poll, and the frame may have been at the MAC by then. The stamp itself goes with the frame, unchanged
/// (Record::card_stamp_ns). Only when the host's clock is set back by more than a second do times follow it.
///
/// **Error.** longest_wait_ticks() is the longest that a frame can have lain in memory unseen: back to the poll before
/// the last one that left nothing behind, or to when its descriptor was given to the card. The card's own way to memory
/// is not in it, about a microsecond, nor is a sleep: there it is the interrupt's moderation and what the system takes
/// to wake a thread.
///
/// Threads: one each, the receive loop's; longest_wait_ticks() from any.

#include <atomic>
#include <cstdint>
#include <span>

#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/clock.hpp>

namespace ixcap::capture {

/// The card's stamp of a frame of the batch.
struct CardStamp {
  std::size_t frame;
  std::uint64_t ns;
};

class FrameClock {
 public:
  /// A stamp that the card's clock puts so far after the poll, or before it, is none of this frame.
  static constexpr std::uint64_t most_ahead_ns = 1'000'000;
  static constexpr std::uint64_t most_behind_ns = 10'000'000'000;

  /// How far behind its last poll a queue is that can still get a frame which the card stamped earlier.
  static constexpr std::uint64_t on_the_way_ns = 50'000;

  /// `card`: whose clock it is; nullptr: the host's. `bits_per_second`: the link's speed. `descriptors`: the queue's.
  FrameClock(const ixgbe::Clock* card, std::uint64_t bits_per_second, std::uint32_t descriptors) noexcept
      : card_(card),
        ps_per_byte_(bits_per_second == 0 ? 0 : 8'000'000'000'000 / bits_per_second),
        descriptors_(descriptors) {}

  /// A poll that ended at `tsc` has found `frames` frames, and left nothing behind if it `emptied` the queue.
  void polled(std::size_t frames, bool emptied, std::uint64_t tsc) noexcept {
    if (frames != 0) measure(frames, tsc);
    if (emptied) not_before_tsc_ = last_poll_tsc_;  // what it did not find came after it had begun
    last_poll_tsc_ = tsc;
  }

  /// The thread slept until `tsc`, and would have been woken for a frame.
  void woke(std::uint64_t tsc) noexcept { not_before_tsc_ = last_poll_tsc_ = tsc; }

  /// Now, at the last poll or a little later.
  std::uint64_t time_of_poll_ns() noexcept {
    if (card_ == nullptr) return now_ns();
    card_->follow(fit_);
    return fit_.fit.to_ns(last_poll_tsc_);
  }

  /// Whether a card's stamp can be that of a frame which was polled at `poll_ns`.
  static bool possible(std::uint64_t stamp_ns, std::uint64_t poll_ns) noexcept {
    return stamp_ns - (poll_ns - most_behind_ns) <= most_behind_ns + most_ahead_ns;
  }

  /// Writes times_ns[i] for every frame of a batch that was polled at `poll_ns`. `stamps`: those that the card has
  /// made, in the batch's order; possible().
  void stamp(std::span<const Frame> frames, std::uint64_t poll_ns, std::uint64_t* times_ns,
             std::span<const CardStamp> stamps = {}) noexcept {
    std::uint64_t latest_ns = poll_ns;
    std::uint64_t later_ps = 0;
    for (std::size_t i = frames.size(); i-- > 0;) {
      times_ns[i] = latest_ns - later_ps / 1000;
      if (!stamps.empty() && stamps.back().frame == i) [[unlikely]] {
        const std::uint64_t stamp_ns = stamps.back().ns;
        latest_ns = stamp_ns < times_ns[i] ? stamp_ns : times_ns[i];
        times_ns[i] = stamp_ns;
        later_ps = 0;
        stamps = stamps.first(stamps.size() - 1);
      }
      later_ps += (frames[i].wire_length + bytes_between_frames) * ps_per_byte_;
    }
    if (card_ == nullptr && poll_ns + clock_step_ns < last_ns_) last_ns_ = 0;  // the clock was set back: follow it
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (times_ns[i] <= last_ns_) times_ns[i] = last_ns_ + 1;
      last_ns_ = times_ns[i];
    }
  }

  /// Nothing has come up to `time_ns` that has no time yet: later batches get later times, however long they look.
  void set_earliest(std::uint64_t time_ns) noexcept {
    if (time_ns > last_ns_) last_ns_ = time_ns;
  }

  /// In ticks of the TSC. Any thread.
  std::uint64_t longest_wait_ticks() const noexcept { return longest_wait_ticks_.load(std::memory_order_relaxed); }

  /// The host's clock now, UTC nanoseconds.
  static std::uint64_t now_ns() noexcept;

 private:
  static constexpr std::uint32_t bytes_between_frames = 24;  ///< FCS 4, preamble 8, gap 12 (IEEE 802.3 4.4.2)
  static constexpr std::uint64_t clock_step_ns = 1'000'000'000;

  /// When as many frames have been polled as there are descriptors, whatever comes next was written after that began.
  void measure(std::size_t frames, std::uint64_t tsc) noexcept {
    const std::uint64_t wait = tsc - not_before_tsc_;
    if (wait > longest_wait_ticks() && not_before_tsc_ != 0) [[unlikely]]
      longest_wait_ticks_.store(wait, std::memory_order_relaxed);  // a number of its own
    lap_frames_ += frames;
    if (lap_frames_ < descriptors_) return;
    if (lap_tsc_ > not_before_tsc_) not_before_tsc_ = lap_tsc_;
    lap_frames_ = 0;
    lap_tsc_ = tsc;
  }

  const ixgbe::Clock* card_;
  ixgbe::Clock::FollowedFit fit_;
  std::uint64_t ps_per_byte_;
  std::uint64_t last_ns_ = 0;
  std::uint64_t last_poll_tsc_ = 0;
  std::uint64_t not_before_tsc_ = 0;  ///< what is polled next came into memory after this; 0: not known yet
  std::uint64_t lap_tsc_ = 0;
  std::uint64_t lap_frames_ = 0;  ///< polled since
  std::uint64_t descriptors_;
  std::atomic<std::uint64_t> longest_wait_ticks_ = 0;
};

}  // namespace ixcap::capture
