#pragma once

/// The card's counters, accumulated in 64 bits.
///
/// The registers are 32 bits wide (octets: 36), clear when read and stick at their maximum, so somebody must call
/// update() more often than the fastest of them fills: every 4 minutes 48 seconds at 14.88 million frames a second.
///
/// Threads: one thread at a time calls update(); the answer of total() changes only there.

#include <array>
#include <cstddef>
#include <cstdint>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// Slots of per-queue statistics (data sheet 8.2.3.23: RQSMR maps queues to them).
inline constexpr std::size_t statistics_slots = 16;

struct QueueStatistics {
  std::uint64_t packets = 0;        ///< QPRC: written to memory
  std::uint64_t bytes = 0;          ///< QBRC
  std::uint64_t no_descriptor = 0;  ///< QPRDC: dropped, the queue had no free descriptor
};

struct Statistics {
  std::uint64_t total_packets = 0;       ///< TPR: everything that came over the wire
  std::uint64_t total_bytes = 0;         ///< TOR, FCS included
  std::uint64_t unfiltered_packets = 0;  ///< RXNFGPC: without errors, before the L2 filters
  std::uint64_t good_packets = 0;        ///< GPRC: admitted by the L2 filters; missed and dropped ones included
  std::uint64_t good_bytes = 0;          ///< GORC
  std::uint64_t broadcast = 0;           ///< BPRC
  std::uint64_t multicast = 0;           ///< MPRC
  std::uint64_t missed = 0;              ///< MPC, sum: no room in the packet buffer
  std::uint64_t crc_errors = 0;          ///< CRCERRS
  std::uint64_t illegal_symbols = 0;     ///< ILLERRC
  std::uint64_t error_bytes = 0;         ///< ERRBC
  std::uint64_t length_errors = 0;       ///< RLEC
  std::uint64_t undersize = 0;           ///< RUC
  std::uint64_t fragments = 0;           ///< RFC
  std::uint64_t oversize = 0;            ///< ROC: longer than MAXFRS
  std::uint64_t jabber = 0;              ///< RJC
  std::array<QueueStatistics, statistics_slots> queue;

  /// Of all kinds; each frame is counted under one.
  std::uint64_t bad_packets() const noexcept {
    return crc_errors + illegal_symbols + error_bytes + length_errors + undersize + fragments + oversize + jabber;
  }
  /// Sum over the queues.
  QueueStatistics all_queues() const noexcept;
};

class StatisticsCounter {
 public:
  /// Reads and forgets what the registers hold: counting starts at zero now.
  explicit StatisticsCounter(pci::Device& device);

  /// Adds what the registers have counted since the last call. Of counts that somebody else's reset has torn, some
  /// read before it and some after, none is added.
  void update() noexcept;
  const Statistics& total() const noexcept { return total_; }

 private:
  pci::Device& device_;
  Statistics total_;
};

}  // namespace ixcap::ixgbe
