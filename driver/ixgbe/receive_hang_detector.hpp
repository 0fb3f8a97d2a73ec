#pragma once

/// Tells a receive queue, or a whole port, that hangs from one that is idle or overrun, by what the card itself counts:
///
///     a queue     drops frames (QPRDC) while it has descriptors, and has used none of them (RDH, QPRC)
///     the port    has no room for frames (MPC), or takes in more than its packet buffer holds (GPRC), and not one of
///                 them gets to a queue or is dropped at one
///
/// either at several looks, with no sign of life between them. A queue that is overrun has no descriptors left when it
/// drops, so it is none of these; nor is a port on which nothing arrives.
///
/// A hang that loses nothing by the card's counters, because they stand still, too, cannot be told from silence on the
/// wire.
///
/// Threads: one.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/driver/ixgbe/statistics.hpp>

namespace ixcap::ixgbe {

struct ReceiveHang {
  std::optional<std::uint32_t> queue;  ///< empty: the port
};

class ReceiveHangDetector {
 public:
  /// Looks at which frames were lost so, until it is called a hang: 20 ms apart, more than any queue that works needs
  /// to fetch a descriptor.
  static constexpr unsigned patience = 5;
  /// Frames that the packet buffer can hold at most. Fewer may be somebody else's, such as a management controller's.
  static constexpr std::uint64_t most_in_card = 512 * 1024 / 64;

  /// A queue, just after statistics were read.
  struct QueueLook {
    std::uint32_t head = 0;  ///< RDH
    std::uint32_t tail = 0;  ///< RDT: where it is the head, there are no descriptors
    std::uint64_t written = 0;
    std::uint64_t dropped = 0;
  };

  /// `queues`: of the port, always as many.
  std::optional<ReceiveHang> look(std::span<const QueueLook> queues, const Statistics& card);

  /// The card was reset: what was seen before says nothing.
  void forget() noexcept {
    suspects_.clear();
    looks_ = 0;
  }

 private:
  struct Suspect {
    QueueLook last;
    unsigned losses = 0;  ///< looks at which frames had been dropped for nothing, since the last sign of life

    bool hangs(const QueueLook& now) noexcept;
  };

  bool port_hangs(const Statistics& now) noexcept;

  std::vector<Suspect> suspects_;
  Statistics last_sign_;  ///< of life, on any queue
  Statistics last_;
  unsigned looks_ = 0;  ///< at which frames had come since then, and that one; 0: there was none yet
};

}  // namespace ixcap::ixgbe
