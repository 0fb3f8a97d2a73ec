#include <ixcap/capture/card_losses.hpp>

namespace ixcap::capture {

/// Bad frames are not among those that GPRC counts, but may be among those that were dropped: so where they are
/// captured `lost` can be too small, and the ledger has the rest as rejected.
void CardLosses::settle(const ixgbe::Statistics& card, const ReceiveCounts& received, std::uint64_t malformed,
                        bool counters_lost) noexcept {
  const std::uint64_t came = card.good_packets + forgotten;
  const std::uint64_t known =
      card.missed + card.all_queues().no_descriptor + received.polled - received.bad + malformed + lost;
  if (came > known) {
    lost += came - known;
  } else if (counters_lost) {
    forgotten += known - came;
  }
  const std::uint64_t bad = card.bad_packets() + forgotten_bad;
  if (counters_lost && received.bad > bad) forgotten_bad += received.bad - bad;
}

}  // namespace ixcap::capture
