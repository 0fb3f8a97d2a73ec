#pragma once

/// The clock of a session: the card's, started and set to the system's UTC, or none where times are the host's.
///
/// Ownership: borrows the device. Threads: the constructor, sample() and statistics() one at a time; what card()
/// answers as ixgbe::Clock has it. Errors: the constructor throws Error if the card's clock does not run.

#include <cstdint>
#include <optional>

#include <ixcap/capture/receive_loop.hpp>
#include <ixcap/capture/time_stamps.hpp>
#include <ixcap/driver/ixgbe/clock.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::capture {

class SessionClock {
 public:
  /// Starts the clock of a card whose port is up, which takes some 20 ms.
  SessionClock(pci::Device& device, TimeStampType type);
  SessionClock(const SessionClock&) = delete;
  SessionClock& operator=(const SessionClock&) = delete;

  /// After a reset of the card: its clock runs again, and times go on. Takes some 20 ms; no queue is polled meanwhile.
  void restart();

  /// Every 20 ms or so.
  void sample() noexcept;

  /// The card's clock; nullptr where times are the host's.
  ixgbe::Clock* card() noexcept { return card_.has_value() ? &*card_ : nullptr; }

  /// `received`: of all queues.
  TimeStampStatistics statistics(const ReceiveCounts& received) const noexcept;

 private:
  double ns_per_tick() const noexcept;

  std::optional<ixgbe::Clock> card_;
  std::uint64_t start_tsc_;
  std::uint64_t start_ns_;  ///< the monotonic clock then
  std::int64_t ahead_of_system_ns_ = 0;
};

}  // namespace ixcap::capture
