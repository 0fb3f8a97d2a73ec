#pragma once

/// What a reset of the card takes with it, and what its counters forget: told by holding what the MAC has let in
/// against what became of it, at moments when nothing moves.
///
/// Threads: one at a time.

#include <cstdint>

#include <ixcap/capture/receive_loop.hpp>
#include <ixcap/driver/ixgbe/statistics.hpp>

namespace ixcap::capture {

struct CardLosses {
  std::uint64_t lost = 0;       ///< let in by the MAC, and neither dropped under a count of their own nor in memory
  std::uint64_t forgotten = 0;  ///< polled, and never counted: somebody else has reset the card before it was read out
  std::uint64_t forgotten_bad = 0;  ///< the same, of frames with errors

  /// The card receives no more, its statistics have been read, and its queues are empty. `card`, `received` and
  /// `malformed` are of the whole session. With `counters_lost` frames may have been polled that are in no counter.
  void settle(const ixgbe::Statistics& card, const ReceiveCounts& received, std::uint64_t malformed,
              bool counters_lost) noexcept;
};

}  // namespace ixcap::capture
