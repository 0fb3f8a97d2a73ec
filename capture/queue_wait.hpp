#pragma once

/// What a receive loop does while its queue is empty.
///
///     busy        it looks again at once: no delay, and a core that is always busy
///     adaptive    it looks again for a few microseconds, then sleeps until the card's interrupt
///     interrupt   it sleeps at once
///
/// Sleeping ends with the interrupt, at most ixgbe::default_moderation after the frame, or after `longest_sleep`, so
/// that a stop is seen without one. A device without interrupts is polled adaptively by the clock: driver/idle.hpp.
///
/// Threads: one, the queue's.

#include <immintrin.h>

#include <chrono>
#include <cstdint>

#include <ixcap/driver/idle.hpp>
#include <ixcap/driver/ixgbe/rx_interrupts.hpp>

namespace ixcap::capture {

enum class PollMode : std::uint8_t { busy, adaptive, interrupt };

class QueueWait {
 public:
  static constexpr std::chrono::milliseconds longest_sleep{5};
  /// Looks before it sleeps: about 5 us. At 1,000 frames a second they cost half a percent of a core.
  static constexpr unsigned adaptive_spins = 64;

  /// `interrupts`: of `queue`, or null if there are none.
  QueueWait(PollMode mode, ixgbe::RxInterrupts* interrupts, std::uint32_t queue) noexcept
      : mode_(mode), interrupts_(interrupts), queue_(queue) {}

  /// The queue was empty. Returns when it is time to look again: true after a sleep that a frame would have ended.
  bool wait() noexcept {
    if (mode_ == PollMode::busy) {
      _mm_pause();
    } else if (interrupts_ == nullptr) {
      idle_.wait();
    } else if (mode_ == PollMode::adaptive && spins_ < adaptive_spins) {
      ++spins_;
      _mm_pause();
    } else if (!armed_) {
      interrupts_->arm(queue_);  // what came just before is found by one more look
      armed_ = true;
    } else {
      armed_ = !interrupts_->wait(queue_, longest_sleep);
      return true;
    }
    return false;
  }

  /// The card was reset: what was asked of it is forgotten.
  void forget() noexcept { armed_ = false; }

  /// There were frames.
  void reset() noexcept {
    idle_.reset();
    spins_ = 0;
  }

 private:
  PollMode mode_;
  ixgbe::RxInterrupts* interrupts_;
  std::uint32_t queue_;
  bool armed_ = false;  ///< the card will tell of the next frame
  unsigned spins_ = 0;
  Idle idle_;
};

}  // namespace ixcap::capture
