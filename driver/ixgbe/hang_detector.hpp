#pragma once

/// Tells a transmit queue that hangs from one that is slow or idle: descriptors are not done, the link is up, and for
/// `patience` neither has the head moved nor a frame been reported.
///
/// The card obeys no pause frames (Port turns flow control off), so nothing but a fault stops it for that long.
/// Threads: one.

#include <chrono>
#include <cstdint>

namespace ixcap::ixgbe {

class HangDetector {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds patience{2000};

  struct Look {
    std::uint64_t pending;    ///< frames the card has not reported
    std::uint64_t completed;  ///< frames it has
    std::uint32_t head;       ///< TDH
    bool link_up;
  };

  /// Whether the queue hangs, after this look at it.
  bool hangs(const Look& look, Clock::time_point now) noexcept {
    const bool waits = look.pending != 0 && look.link_up;
    if (!waits || !waited_ || look.head != head_ || look.completed != completed_) {
      since_ = now;
      head_ = look.head;
      completed_ = look.completed;
    }
    waited_ = waits;
    return waits && now - since_ >= patience;
  }

 private:
  bool waited_ = false;
  std::uint32_t head_ = 0;
  std::uint64_t completed_ = 0;
  Clock::time_point since_;
};

}  // namespace ixcap::ixgbe
