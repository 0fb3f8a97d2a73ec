#pragma once

/// The card's time stamps of frames that it sends (data sheet 7.9): of PTP event messages, one at a time, because the
/// card has a latch for one.
///
///     stamps.put(queue, frame)                        in place of queue.put(frame)
///     if (auto sent = stamps.take()) ...              the frame, and when it went out
///     stamps.look_after()                             every 250 ms or so
///
/// A message that comes while another's stamp is awaited goes out without, and is counted; so is one whose stamp does
/// not come within a second: there was no link, say.
///
/// Ownership: borrows the device, whose port is up. Threads: one. Errors: the constructor throws Error if the card's
/// clock does not run; the rest never fails, and allocates for messages that are to be stamped only.

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <ixcap/capture/session_clock.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/tx_queue.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::capture {

/// A frame that the card has stamped as it sent it.
struct StampedFrame {
  std::vector<std::uint8_t> bytes;  ///< as it was given: captured_length of them
  std::uint32_t wire_length = 0;
  std::uint64_t time_ns = 0;  ///< UTC nanoseconds since 1970, by the card's clock
};

struct TransmitStampCounts {
  std::uint64_t stamped = 0;
  std::uint64_t not_asked = 0;   ///< event messages that were sent while another's stamp was awaited
  std::uint64_t unanswered = 0;  ///< the card was asked, and has made no stamp
  double clock_error_ns = 0;     ///< the most that times can be off the card's clock

  std::uint64_t not_stamped() const noexcept { return not_asked + unanswered; }
};

class TransmitStamps {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds patience{1000};

  /// Starts the card's clock, which takes some 20 ms. `before`: what has been counted so far.
  explicit TransmitStamps(pci::Device& device, const TransmitStampCounts& before = {})
      : clock_(device, TimeStampType::adapter_unsynced), counts_(before) {}
  TransmitStamps(const TransmitStamps&) = delete;
  TransmitStamps& operator=(const TransmitStamps&) = delete;

  /// Puts the frame as TxQueue::put() does; the card is asked for its stamp if it is an event message and none is
  /// awaited.
  bool put(ixgbe::TxQueue& queue, const Frame& frame) noexcept;

  /// The frame whose stamp has come since. Reads a register, and only if one is awaited.
  std::optional<StampedFrame> take() noexcept;

  /// Takes a sample of the card's clock, and gives up on a stamp that is overdue.
  void look_after() noexcept;

  /// Waits for a stamp no longer: its port is reset.
  void give_up() noexcept;

  TransmitStampCounts counts() noexcept;

 private:
  SessionClock clock_;
  bool awaited_ = false;
  Clock::time_point asked_at_;
  StampedFrame frame_;                 ///< the one that is awaited
  std::optional<std::uint64_t> come_;  ///< its stamp, which take() has not taken
  TransmitStampCounts counts_;
};

}  // namespace ixcap::capture
