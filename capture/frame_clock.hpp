#pragma once

/// Times for frames that the card does not stamp: the host's clock when their batch was polled, spread over the batch
/// by wire time.
///
/// The last frame of a batch gets the time of the poll; each earlier one is earlier by the wire time of those after it.
/// Times strictly increase, so no two frames of a queue share one and their order is kept; only when the host's clock
/// is set back by more than a second do they follow it. The error of a time is the interval between two polls, and up
/// to that second after the clock was set back by less.
///
/// Threads: one each, the receive loop's.

#include <cstdint>
#include <span>

#include <ixcap/driver/frame.hpp>

namespace ixcap::capture {

class FrameClock {
 public:
  /// `bits_per_second`: the link's speed.
  explicit FrameClock(std::uint64_t bits_per_second) noexcept
      : ps_per_byte_(bits_per_second == 0 ? 0 : 8'000'000'000'000 / bits_per_second) {}

  /// Writes times_ns[i], nanoseconds since 1970 UTC, for every frame of a batch that was polled at `now_ns`.
  void stamp(std::span<const Frame> frames, std::uint64_t now_ns, std::uint64_t* times_ns) noexcept {
    std::uint64_t later_ps = 0;
    for (std::size_t i = frames.size(); i-- > 0;) {
      times_ns[i] = now_ns - later_ps / 1000;
      later_ps += (frames[i].wire_length + bytes_between_frames) * ps_per_byte_;
    }
    if (now_ns + clock_step_ns < last_ns_) last_ns_ = 0;  // somebody has set the clock back: follow it
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (times_ns[i] <= last_ns_) times_ns[i] = last_ns_ + 1;
      last_ns_ = times_ns[i];
    }
  }

  /// Nothing had come at `now_ns` that has no time yet: later batches get later times, however long they look.
  void set_earliest(std::uint64_t now_ns) noexcept {
    if (now_ns > last_ns_) last_ns_ = now_ns;
  }

  /// The host's clock now, UTC nanoseconds.
  static std::uint64_t now_ns() noexcept;

 private:
  static constexpr std::uint32_t bytes_between_frames = 24;  ///< FCS 4, preamble 8, gap 12 (IEEE 802.3 4.4.2)
  static constexpr std::uint64_t clock_step_ns = 1'000'000'000;

  std::uint64_t ps_per_byte_;
  std::uint64_t last_ns_ = 0;
};

}  // namespace ixcap::capture
