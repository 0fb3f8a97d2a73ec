#pragma once

/// Tells a receive queue, or a whole port, that hangs from one that is idle or overrun, by what the card itself counts:
///
///     a queue     drops frames (QPRDC) while it has descriptors, and has used none of them (RDH, QPRC)
///     the port    takes frames in (GPRC), or has no room for them (MPC), and not one of them gets to a queue or is
///                 dropped at one
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

  /// A queue, just after statistics were read.
  struct QueueLook {
    std::uint32_t head = 0;  ///< RDH
    std::uint32_t tail = 0;  ///< RDT: where it is the head, there are no descriptors
    std::uint64_t written = 0;
    std::uint64_t dropped = 0;
  };

  /// `queues`: of the port, always as many.
  std::optional<ReceiveHang> look(std::span<const QueueLook> queues, const Statistics& card) {
    std::optional<ReceiveHang> hang;
    suspects_.resize(queues.size());
    for (std::uint32_t i = 0; i < queues.size(); ++i) {
      if (!hang && suspects_[i].hangs(queues[i])) hang = ReceiveHang{i};
    }
    const QueueStatistics all = card.all_queues();
    const std::uint64_t got_through = all.packets + all.no_descriptor;
    const std::uint64_t came = card.good_packets + card.missed;
    if (got_through != got_through_)
      losses_ = 0;
    else if (came != came_)
      ++losses_;
    got_through_ = got_through;
    came_ = came;
    if (!hang && losses_ >= patience) hang = ReceiveHang{};
    return hang;
  }

  /// The card was reset: what was seen before says nothing.
  void forget() noexcept {
    suspects_.clear();
    losses_ = 0;
  }

 private:
  struct Suspect {
    QueueLook last;
    unsigned losses = 0;  ///< looks at which frames had been dropped for nothing, since the last sign of life

    bool hangs(const QueueLook& now) noexcept {
      const bool could_have = last.head != last.tail;
      const bool stood_still = could_have && now.head == last.head && now.written == last.written;
      if (!stood_still)
        losses = 0;
      else if (now.dropped != last.dropped)
        ++losses;
      last = now;
      return losses >= patience;
    }
  };

  std::vector<Suspect> suspects_;
  std::uint64_t got_through_ = 0;
  std::uint64_t came_ = 0;
  unsigned losses_ = 0;  ///< as Suspect's, of the port
};

}  // namespace ixcap::ixgbe
