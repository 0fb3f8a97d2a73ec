#pragma once

/// The drop ledger: where every frame of a capture went, and what to do about those that got lost.
///
///     on the wire = rejected by the MAC + not admitted + missed + no descriptor + malformed
///                   + lost in the card + filtered by the card + filtered + lost by the reader + delivered
///                   + counted + left unread + left in descriptors
///
/// Each entry is counted on its own, by the card, the driver, the filter or the ring, so that the equation can fail and
/// balanced() means something. While traffic flows the counters are read one after another and the equation is off by
/// what arrives in between; when a capture has stopped it holds to the frame.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ixcap::capture {

struct DropLedger {
  /// Counters in frames; empty means that the interface cannot tell, which is not zero.
  using Count = std::optional<std::uint64_t>;

  Count on_wire;                        ///< TPR, and what a reset by somebody else made the card forget
  Count rejected_by_mac;                ///< CRC, length, symbol errors, undersize, oversize
  Count not_admitted;                   ///< by the card's L2 filters: RXNFGPC − GPRC
  Count missed;                         ///< MPC: no room in the card's packet buffer
  std::vector<Count> no_descriptor;     ///< QPRDC, per queue
  std::vector<std::uint64_t> received;  ///< taken from each queue: part of the entries below, told for several queues
  std::uint64_t lost_in_card = 0;       ///< in it when it was reset, or when it could not reach memory
  std::uint64_t malformed = 0;          ///< descriptors that describe no frame, dropped by the driver
  std::uint64_t filtered_by_card = 0;   ///< the same, found out by the card (SessionOptions::hardware_filter)
  std::uint64_t filtered = 0;           ///< matched no filter
  std::uint64_t lost_by_reader = 0;     ///< read, but the reader could not use them
  std::uint64_t delivered = 0;          ///< given to the reader
  std::uint64_t counted = 0;            ///< matched where nothing is delivered: SessionOptions::count_only
  std::uint64_t left_unread = 0;        ///< accepted and not read yet, or not read when the reader stopped
  Count in_descriptors;                 ///< in memory and not polled yet, or left when the capture stopped
  bool running = false;                 ///< taken while frames could come

  std::uint64_t no_descriptor_total() const noexcept;
  /// Frames that were lost between the wire and the reader for want of room or time.
  std::uint64_t lost() const noexcept;
  bool balanced() const noexcept;

  /// The sum of all entries but on_wire.
  std::uint64_t accounted_for() const noexcept;

  /// A line an entry that is not zero, with its remedy, and whether the sum is right. Ends with a newline.
  std::string to_string() const;
};

}  // namespace ixcap::capture
